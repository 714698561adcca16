/* tools/tune_html.c: the page of tools/tune_print.h: no script, no network, readable in the dark. */
#include <math.h>
#include <string.h>

#include "tools/tune_print.h"

static const char style[] =
    ":root{--bg:#fff;--fg:#1c1e21;--dim:#667;--line:#dde;--tuned:#2563eb;--default:#94a3b8;"
    "--limit:#16a34a;--bad:#dc2626}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#15171b;--fg:#e6e8ec;--dim:#99a;--line:#333842;"
    "--tuned:#60a5fa;--default:#64748b;--limit:#4ade80;--bad:#f87171}}\n"
    "body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:64rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}"
    "h3{font:13px/1.4 ui-monospace,monospace;margin:0;overflow-wrap:anywhere;flex:1}\n"
    "p,.dim{color:var(--dim)}section{border-top:1px solid var(--line);padding:.8rem 0}"
    "header{display:flex;gap:1.5rem;align-items:baseline}\n"
    "table{border-collapse:collapse;width:100%;font-size:13px}th{text-align:left;color:var(--dim);"
    "font-weight:normal}td,th{padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:top}.n{text-align:right;white-space:nowrap}td code{font-size:12px}"
    "a{color:inherit;text-decoration-color:var(--dim)}\n"
    "code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "svg{width:100%;height:auto;display:block;margin:.5rem 0}"
    "svg text{font:12px system-ui,sans-serif;fill:var(--fg)}\n"
    "svg .dim{fill:var(--dim)}.tuned{fill:var(--tuned)}.default{fill:var(--default)}"
    ".limit{fill:var(--limit)}.bad{color:var(--bad)}.gain{font-weight:600;white-space:nowrap}\n"
    ".axis{stroke:var(--line)}.dot{fill:var(--tuned);fill-opacity:.45}.slow{fill:var(--default);"
    "fill-opacity:.6}.kept{color:var(--dim);font-weight:normal}\n";

static void put_text(FILE *f, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", f);
        else if (*text == '>')
            fputs("&gt;", f);
        else if (*text == '&')
            fputs("&amp;", f);
        else if (*text == '"')
            fputs("&quot;", f);
        else
            fputc(*text, f);
    }
}

/* clm_tune_print_params, escaped: the names come from a file. */
static void put_params(FILE *f, const clm_tune_param *params, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0) fputc(' ', f);
        put_text(f, params[i].name);
        fprintf(f, "=%d", params[i].value);
    }
}

/* Milliseconds at the device's limit; 0: not known. */
static double limit_ms(const clm_tune_device *d, const clm_tune_entry *e)
{
    double rate, share;
    bool arithmetic;

    clm_tune_rate(d, e->bytes, e->flops, e->ms, &rate, &arithmetic, &share);
    return share * e->ms;
}

enum { WIDTH = 900, LEFT = 76, RIGHT = 690 };

/* Whether nothing was found that is faster: the tuner then stores the default with its own time. */
static bool kept_default(const clm_tune_entry *e)
{
    return e->default_ms > 0.0 && e->ms == e->default_ms;
}

static void put_gain(FILE *f, const clm_tune_entry *e)
{
    if (kept_default(e))
        fputs("<span class=\"kept\">default kept</span>", f);
    else if (e->default_ms > 0.0)
        fprintf(f, "<span class=\"gain\">%.2f&times;</span>", e->default_ms / e->ms);
    else
        fputs("<span class=\"kept\">default fails</span>", f);
}

static void put_bar(FILE *f, int row, const char *name, const char *class, double ms, double most,
                    const char *label)
{
    const double w = fmax(1.5, (RIGHT - LEFT) * ms / most);

    fprintf(f,
            "<text x=\"0\" y=\"%d\">%s</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" "
            "height=\"14\" rx=\"2\"/><text class=\"dim\" x=\"%.1f\" y=\"%d\">",
            22 * row + 15, name, class, (int)LEFT, 22 * row + 4, w, LEFT + w + 6, 22 * row + 15);
    put_text(f, label);
    fputs("</text>\n", f);
}

static void put_bars(FILE *f, const clm_tune_device *d, const clm_tune_entry *e)
{
    const double limit = limit_ms(d, e), most = fmax(fmax(e->ms, e->default_ms), limit);
    const bool both = e->default_ms > 0.0 && !kept_default(e);
    const int rows = 1 + both + (limit > 0.0);
    char label[96], rate[48];
    int row = 0;

    fprintf(f, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"times\">\n", (int)WIDTH,
            22 * rows + 2);
    if (both) {
        snprintf(label, sizeof label, "%.4g ms", e->default_ms);
        put_bar(f, row++, "default", "default", e->default_ms, most, label);
    }
    clm_tune_format_rate(d, e->bytes, e->flops, e->ms, rate);
    snprintf(label, sizeof label, "%.4g ms, %s", e->ms, rate);
    put_bar(f, row++, kept_default(e) ? "default" : "tuned", "tuned", e->ms, most, label);
    if (limit > 0.0) {
        snprintf(label, sizeof label, "%.4g ms", limit);
        put_bar(f, row, "limit", "limit", limit, most, label);
    }
    fputs("</svg>\n", f);
}

/* Each candidate that ran is a dot, on a logarithmic axis of times over the fastest one's: those that the
 * log has are on the scale of the search, not of the race that decided. */
static void put_spread(FILE *f, const clm_tune_results *r, const clm_tune_entry *e)
{
    double least = 0.0, most = 0.0;
    size_t n = 0;

    for (size_t i = 0; i < r->n_tries; i++) {
        const double ms = r->tries[i].ms;

        if (!clm_tune_key_same(&r->tries[i].key, &e->key) || ms <= 0.0) continue;
        if (n++ == 0 || ms < least) least = ms;
        most = fmax(most, ms);
    }
    if (n < 2 || !(most > least)) return;
    fprintf(f,
            "<svg viewBox=\"0 0 %d 54\" role=\"img\" aria-label=\"all candidates\"><text x=\"0\" "
            "y=\"22\">%zu tried</text><line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"34\" "
            "y2=\"34\"/>\n",
            (int)WIDTH, n, (int)LEFT, (int)RIGHT);
    for (size_t i = 0; i < r->n_tries; i++) {
        const clm_tune_try *t = &r->tries[i];
        double x;

        if (!clm_tune_key_same(&t->key, &e->key) || t->ms <= 0.0) continue;
        x = LEFT + (RIGHT - LEFT) * log(t->ms / least) / log(most / least);
        fprintf(f, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%d\" r=\"4\"><title>%.2f times: ",
                t->reason == CLM_TUNE_OK ? "dot" : "slow", x, 8 + (int)(i % 5) * 5, t->ms / least);
        put_params(f, t->params, t->n_params);
        fputs("</title></circle>\n", f);
    }
    fprintf(f,
            "<text class=\"dim\" x=\"%d\" y=\"50\">fastest</text><text class=\"dim\" x=\"%d\" "
            "y=\"50\" text-anchor=\"end\">%.3g times as long</text></svg>\n",
            (int)LEFT, (int)RIGHT, most / least);
}

static void put_failures(FILE *f, const clm_tune_results *r, const clm_tune_entry *e)
{
    size_t counts[CLM_TUNE_REASONS] = {0}, n = 0;

    for (size_t i = 0; i < r->n_tries; i++)
        if (clm_tune_key_same(&r->tries[i].key, &e->key) && r->tries[i].reason < CLM_TUNE_REASONS)
            counts[r->tries[i].reason]++;
    for (int i = CLM_TUNE_CONSTRAINT; i < CLM_TUNE_REASONS; i++) {
        if (counts[i] == 0) continue;
        fprintf(f, "%s%s %zu", n++ > 0 ? ", " : "<div class=\"bad\">refused: ",
                clm_tune_reason_text((clm_tune_reason)i), counts[i]);
    }
    if (n > 0) fputs("</div>\n", f);
}

static void put_entry(FILE *f, const clm_tune_results *r, size_t i)
{
    const clm_tune_entry *e = &r->db.entries[i];
    const char *unused = clm_tune_print_unused(r, e);

    fprintf(f, "<section id=\"e%zu\"><header><h3>", i);
    put_text(f, e->key.shape);
    fputs("</h3>", f);
    put_gain(f, e);
    fputs("</header>\n", f);
    put_bars(f, &r->db.device, e);
    put_spread(f, r, e);
    put_failures(f, r, e);
    if (unused != NULL) fprintf(f, "<div class=\"bad\">not used: %s</div>\n", unused);
    fputs("<code class=\"dim\">", f);
    put_params(f, e->params, e->n_params);
    fputs("</code></section>\n", f);
}

/* All launches at a glance, each a link to its picture. */
static void put_table(FILE *f, const clm_tune_db *db)
{
    fputs("<table><tr><th>operator</th><th>shape</th><th class=\"n\">default</th>"
          "<th class=\"n\">tuned</th><th class=\"n\">gain</th><th class=\"n\">speed</th></tr>\n",
          f);
    for (size_t i = 0; i < db->n; i++) {
        const clm_tune_entry *e = &db->entries[i];
        char rate[48];

        fprintf(f, "<tr><td><a href=\"#e%zu\">", i);
        put_text(f, e->key.op);
        fputs("</a></td><td><code>", f);
        put_text(f, e->key.shape);
        fputs("</code></td><td class=\"n\">", f);
        if (e->default_ms > 0.0) fprintf(f, "%.4g ms", e->default_ms);
        fprintf(f, "</td><td class=\"n\">%.4g ms</td><td class=\"n\">", e->ms);
        put_gain(f, e);
        clm_tune_format_rate(&db->device, e->bytes, e->flops, e->ms, rate);
        fprintf(f, "</td><td class=\"n\">%s</td></tr>\n", rate);
    }
    fputs("</table>\n", f);
}

static bool op_seen_before(const clm_tune_db *db, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(db->entries[k].key.op, db->entries[i].key.op) == 0) return true;
    return false;
}

/* The launches of each operator together. */
static void put_operators(FILE *f, const clm_tune_results *r)
{
    const clm_tune_db *db = &r->db;

    for (size_t i = 0; i < db->n; i++) {
        if (op_seen_before(db, i)) continue;
        fputs("<h2>", f);
        put_text(f, db->entries[i].key.op);
        fputs("</h2>\n", f);
        for (size_t k = i; k < db->n; k++)
            if (strcmp(db->entries[k].key.op, db->entries[i].key.op) == 0) put_entry(f, r, k);
    }
}

void clm_tune_print_html(FILE *f, const clm_tune_results *r)
{
    const clm_tune_device *d = &r->db.device;

    fputs(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Tuning of ",
        f);
    put_text(f, d->name);
    fprintf(f, "</title><style>\n%s</style></head><body>\n<h1>", style);
    put_text(f, d->name);
    fputs("</h1><p>", f);
    put_text(f, d->vendor);
    fputs(", driver ", f);
    put_text(f, d->driver);
    if (d->read_gbps > 0.0)
        fprintf(f, "; at best %.1f GB/s read, %.0f GFLOP/s in single precision", d->read_gbps,
                d->fp32_gflops);
    fprintf(f,
            ".<br>%zu launches. Bars are times of one launch, shorter is better; <em>limit</em> is "
            "what the device's memory or arithmetic allows. Dots are candidates, in times of the "
            "fastest; grey ones were given up early.</p>\n",
            r->db.n);
    put_table(f, &r->db);
    put_operators(f, r);
    fputs("</body></html>\n", f);
}
