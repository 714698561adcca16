/* runtime/formats/model_file_impl.h: the inside of a clm_model_file, and what its readers share.
 * A reader (one per file format) fills in what the file states; the checks that hold for every
 * format are made here, in words that do not depend on the format.
 *
 * Layer    runtime; included by runtime/formats/ only.
 */
#ifndef CLM_RUNTIME_FORMATS_MODEL_FILE_IMPL_H
#define CLM_RUNTIME_FORMATS_MODEL_FILE_IMPL_H

#include "host/file.h"
#include "runtime/formats/model_file.h"
#include "runtime/formats/stored.h"

/* Limits on what a reader may accept, besides those in model_file.h: far beyond real models, and
 * small enough that products of two of them fit into 64 bits and single ones into an int. */
enum { CLM__MAX_WIDTH = 1 << 17, CLM__MAX_FFN = 1 << 20 };

struct clm_model_file {
    char *path;
    const char *hparams_path; /* the file that states the hyperparameters, for messages */
    char format[32];
    clm_map *maps; /* the mapped files */
    size_t n_maps;
    clm_hparams hparams;
    clm_vocab vocab;
    clm_piece *pieces; /* owner of vocab.pieces, and so on */
    char *piece_text, *chat_template;
    clm_merge *merges;
    clm_tensor *tensors;
    size_t n_tensors;
    char *tensor_names;
    const clm_tensor **weights; /* by role and layer; NULL without weights */
    uint8_t *made;              /* values of a synthetic model, and its norms */
    float *ones;
    char warning[sizeof(clm_err)];
    clm_advice advice;

    /* Folders: what the tensors are made of. */
    char **file_names; /* paths; names of tensors are in `stored` */
    size_t n_file_names;
    clm_stored_list stored;
    clm_tensor *views; /* by role: all or some rows of `tensors` */
    size_t n_views;
    clm_gptq *gptq;
    size_t n_gptq;
    uint32_t **column_orders;
    size_t n_column_orders;
};

/* Reader: fills `mf` (zeroed but for `path`) from the GGUF file at its path. What has been
 * allocated is released by clm_model_file_close, also after a failure. */
clm_status clm__model_read_gguf(clm_model_file *mf, clm_err *err);
/* The same for the Hugging Face folder at its path. */
clm_status clm__model_read_hf(clm_model_file *mf, clm_err *err);

/* Keeps a printable beginning of `name` as the model's. */
void clm__model_set_name(clm_hparams *hp, const char *name, size_t size);

/* Checks the hyperparameters a reader has filled in and derives head_dim (when it is 0), n_kv_heads
 * (when it is 0: n_heads) and rope_dims (when it is 0: head_dim). Without `complete`, zero means
 * that the file says nothing, and is accepted. */
clm_status clm__model_check_hparams(clm_model_file *mf, bool complete, clm_err *err);

/* Whether rows of the head are to be normalised, as far as the vocabulary tells: Baichuan 2, and nothing
 * else of the family, has that of 125,696. */
bool clm__model_norm_head(const clm_hparams *hp);

/* Makes room for the weights of mf->hparams.n_layers layers. */
clm_status clm__model_alloc_weights(clm_model_file *mf, clm_err *err);

/* The shape a role has in a model of these hyperparameters. */
void clm__model_weight_shape(const clm_hparams *hp, clm_weight_role role, size_t *rows,
                             size_t *cols);

/* Gives `tensor` a role after checking its shape and type against the hyperparameters. */
clm_status clm__model_set_weight(clm_model_file *mf, clm_weight_role role, size_t layer,
                                 const clm_tensor *tensor, clm_err *err);

/* Has `id` end an answer besides eos, unless it does so already; false: there is no room. */
bool clm__vocab_add_end(clm_vocab *v, int id);

/* Keeps a warning for clm_model_file_warning; the first one wins. */
void clm__model_warn(clm_model_file *mf, const char *text);

#endif
