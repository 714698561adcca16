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
    "h1{font-size:1.5rem;margin:0}p,.dim{color:var(--dim)}section{border-top:1px solid var(--line);"
    "padding:1rem 0}\n"
    "h2{font-size:1.05rem;margin:0}h2 "
    "small{font-weight:normal;color:var(--dim);margin-left:.5rem}\n"
    "code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "svg{width:100%;height:auto;display:block;margin:.5rem 0}svg text{font:12px "
    "system-ui,sans-serif;"
    "fill:var(--fg)}\n"
    "svg .dim{fill:var(--dim)}.tuned{fill:var(--tuned)}.default{fill:var(--default)}"
    ".limit{fill:var(--limit)}.bad{color:var(--bad)}\n"
    ".axis{stroke:var(--line)}.dot{fill:var(--tuned);fill-opacity:.45}.slow{fill:var(--default);"
    "fill-opacity:.6}.gain{float:right;font-weight:600}\n";

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

/* Milliseconds at the device's limit; 0: not known. */
static double limit_ms(const clm_tune_device *d, const clm_tune_entry *e)
{
    double rate, share;
    bool arithmetic;

    clm_tune_rate(d, e->bytes, e->flops, e->ms, &rate, &arithmetic, &share);
    return share * e->ms;
}

enum { WIDTH = 900, LEFT = 76, RIGHT = 690 };

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
    const int rows = 1 + (e->default_ms > 0.0) + (limit > 0.0);
    char label[96], rate[48];
    int row = 0;

    fprintf(f, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"times\">\n", (int)WIDTH,
            22 * rows + 2);
    if (e->default_ms > 0.0) {
        snprintf(label, sizeof label, "%.4g ms", e->default_ms);
        put_bar(f, row++, "default", "default", e->default_ms, most, label);
    }
    clm_tune_format_rate(d, e->bytes, e->flops, e->ms, rate);
    snprintf(label, sizeof label, "%.4g ms, %s", e->ms, rate);
    put_bar(f, row++, "tuned", "tuned", e->ms, most, label);
    if (limit > 0.0) {
        snprintf(label, sizeof label, "%.4g ms", limit);
        put_bar(f, row, "limit", "limit", limit, most, label);
    }
    fputs("</svg>\n", f);
}

static bool belongs(const clm_tune_try *t, const clm_tune_entry *e)
{
    return strcmp(t->key.op, e->key.op) == 0 && strcmp(t->key.shape, e->key.shape) == 0 &&
           strcmp(t->key.source, e->key.source) == 0;
}

/* Each candidate that ran is a dot on a logarithmic axis. */
static void put_spread(FILE *f, const clm_tune_results *r, const clm_tune_entry *e)
{
    double least = e->ms, most = fmax(e->ms, e->default_ms);
    size_t n = 0;

    for (size_t i = 0; i < r->n_tries; i++) {
        if (!belongs(&r->tries[i], e) || r->tries[i].ms <= 0.0) continue;
        least = fmin(least, r->tries[i].ms);
        most = fmax(most, r->tries[i].ms);
        n++;
    }
    if (n < 2 || !(most > least)) return;
    fprintf(
        f,
        "<svg viewBox=\"0 0 %d 54\" role=\"img\" aria-label=\"all candidates\"><text x=\"0\" "
        "y=\"22\">%zu ran</text><line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"34\" y2=\"34\"/>\n",
        (int)WIDTH, n, (int)LEFT, (int)RIGHT);
    for (size_t i = 0; i < r->n_tries; i++) {
        const clm_tune_try *t = &r->tries[i];
        double x;

        if (!belongs(t, e) || t->ms <= 0.0) continue;
        x = LEFT + (RIGHT - LEFT) * log(t->ms / least) / log(most / least);
        fprintf(f, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%d\" r=\"4\"><title>%.4g ms: ",
                t->reason == CLM_TUNE_OK ? "dot" : "slow", x, 8 + (int)(i % 5) * 5, t->ms);
        clm_tune_print_params(f, t->params, t->n_params);
        fputs("</title></circle>\n", f);
    }
    fprintf(f,
            "<text class=\"dim\" x=\"%d\" y=\"50\">%.4g ms</text><text class=\"dim\" x=\"%d\" "
            "y=\"50\" text-anchor=\"end\">%.4g ms</text></svg>\n",
            (int)LEFT, least, (int)RIGHT, most);
}

static void put_failures(FILE *f, const clm_tune_results *r, const clm_tune_entry *e)
{
    size_t counts[CLM_TUNE_REASONS] = {0}, n = 0;

    for (size_t i = 0; i < r->n_tries; i++)
        if (belongs(&r->tries[i], e) && r->tries[i].reason < CLM_TUNE_REASONS)
            counts[r->tries[i].reason]++;
    for (int i = CLM_TUNE_CONSTRAINT; i < CLM_TUNE_REASONS; i++) {
        if (counts[i] == 0) continue;
        fprintf(f, "%s%s %zu", n++ > 0 ? ", " : "<div class=\"bad\">refused: ",
                clm_tune_reason_text((clm_tune_reason)i), counts[i]);
    }
    if (n > 0) fputs("</div>\n", f);
}

static void put_entry(FILE *f, const clm_tune_results *r, const clm_tune_entry *e)
{
    fputs("<section>", f);
    if (e->default_ms > 0.0)
        fprintf(f, "<span class=\"gain\">%.2f&times;</span>", e->default_ms / e->ms);
    fputs("<h2>", f);
    put_text(f, e->key.op);
    fputs("<small>", f);
    put_text(f, e->key.shape);
    fputs("</small></h2>\n", f);
    put_bars(f, &r->db.device, e);
    put_spread(f, r, e);
    put_failures(f, r, e);
    fputs("<code>", f);
    clm_tune_print_params(f, e->params, e->n_params);
    fputs("</code></section>\n", f);
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
            ".<br>%zu launches. Bars are times, shorter is better; <em>limit</em> is what the "
            "device's memory or arithmetic allows. Dots are candidates, grey ones were given up "
            "early.</p>\n",
            r->db.n);
    for (size_t i = 0; i < r->db.n; i++) put_entry(f, r, &r->db.entries[i]);
    fputs("</body></html>\n", f);
}
