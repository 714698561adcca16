/* runtime/text/sp_shim.cc: see sp_shim.h. */
#include "runtime/text/sp_shim.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <sentencepiece_processor.h>

struct clm_sp {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

/* For use inside a catch (...) block. */
clm_status fail_exception(clm_err *err, const char *what)
{
    try {
        throw;
    } catch (const std::bad_alloc &) {
        return clm_fail(err, CLM_E_NOMEM, "%s: no memory", what);
    } catch (const std::exception &e) {
        return clm_fail(err, CLM_E_MODEL, "%s: %s", what, e.what());
    } catch (...) {
        return clm_fail(err, CLM_E_MODEL, "%s: libsentencepiece failed", what);
    }
}

/* `Status` is the library's own type before 0.2.2, and Abseil's since. */
template <typename Status>
clm_status fail_status(clm_err *err, const char *what, const Status &status)
{
    return clm_fail(err, CLM_E_MODEL, "%s: %s", what, std::string(status.message()).c_str());
}

} // namespace

clm_status clm_sp_create(const void *model, size_t bytes, clm_sp **out, clm_err *err)
{
    clm_sp *sp = nullptr;

    *out = nullptr;
    try {
        sp = new clm_sp;
        const auto status = sp->processor.LoadFromSerializedProto(
            std::string_view(static_cast<const char *>(model), bytes));
        if (!status.ok()) {
            clm_status st = fail_status(err, "SentencePiece refused the vocabulary", status);
            delete sp;
            return st;
        }
    } catch (...) {
        delete sp;
        return fail_exception(err, "SentencePiece refused the vocabulary");
    }
    *out = sp;
    return CLM_OK;
}

void clm_sp_destroy(clm_sp *sp)
{
    delete sp;
}

clm_status clm_sp_encode(const clm_sp *sp, const char *text, size_t size, int **ids, size_t *count,
                         clm_err *err)
{
    *ids = nullptr;
    *count = 0;
    if (size == 0) return CLM_OK;
    try {
        std::vector<int> found;
        const auto status = sp->processor.Encode(std::string_view(text, size), &found);
        if (!status.ok()) return fail_status(err, "tokenising failed", status);
        if (found.empty()) return CLM_OK;
        *ids = static_cast<int *>(std::malloc(found.size() * sizeof(int)));
        if (*ids == nullptr) return clm_fail(err, CLM_E_NOMEM, "tokenising: no memory");
        std::memcpy(*ids, found.data(), found.size() * sizeof(int));
        *count = found.size();
        return CLM_OK;
    } catch (...) {
        return fail_exception(err, "tokenising");
    }
}

/* Version 0.2.2 deprecates decoding a vector in favour of a span, which versions before do not have. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
clm_status clm_sp_decode(const clm_sp *sp, const int *ids, size_t count, char **text, size_t *size,
                         clm_err *err)
{
    *text = nullptr;
    *size = 0;
    try {
        std::string found;
        if (count > 0) {
            const auto status = sp->processor.Decode(std::vector<int>(ids, ids + count), &found);
            if (!status.ok()) return fail_status(err, "decoding tokens failed", status);
        }
        *text = static_cast<char *>(std::malloc(found.size() + 1));
        if (*text == nullptr) return clm_fail(err, CLM_E_NOMEM, "decoding tokens: no memory");
        std::memcpy(*text, found.c_str(), found.size() + 1);
        *size = found.size();
        return CLM_OK;
    } catch (...) {
        return fail_exception(err, "decoding tokens");
    }
}
#pragma GCC diagnostic pop

int clm_sp_find(const clm_sp *sp, const char *piece, size_t size)
{
    try {
        /* The library answers with the unknown id for a text that it does not know. */
        const std::string_view wanted(piece, size);
        const int id = sp->processor.PieceToId(wanted);
        if (id < 0 || id >= sp->processor.GetPieceSize()) return -1;
        return sp->processor.IdToPiece(id) == wanted ? id : -1;
    } catch (...) {
        return -1;
    }
}
