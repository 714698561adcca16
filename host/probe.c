/* host/probe.c: see host/probe.h. */
#include "host/probe.h"

bool clm__probe_runs(clm_device *dev, const clm__probe *probe)
{
    const clm__probe_buffer *buffers = probe->buffers;
    clm_program *prog = NULL;
    clm_kernel *kernel = NULL;
    clm_buffer *bufs[CLM__PROBE_BUFFERS] = {NULL};
    clm_arg args[CLM__PROBE_BUFFERS];
    size_t n = 0;
    clm_status st = clm_program_create(dev, probe->name, probe->defs, probe->n_defs, &prog, NULL);

    if (st == CLM_OK) st = clm_kernel_create(prog, probe->name, &kernel, NULL);
    for (; n < CLM__PROBE_BUFFERS && buffers[n].n > 0 && st == CLM_OK; n++) {
        st = clm_buffer_create(dev, buffers[n].elem, buffers[n].n, &bufs[n], NULL);
        if (st == CLM_OK && buffers[n].in != NULL)
            st = clm_buffer_write(bufs[n], 0, buffers[n].n, buffers[n].in, NULL);
        args[n] = CLM_BUF(bufs[n]);
    }
    if (st == CLM_OK) st = clm_kernel_set_args(kernel, args, n, NULL);
    if (st == CLM_OK) st = clm_kernel_enqueue(kernel, &probe->range, NULL);
    for (size_t i = 0; i < n && st == CLM_OK; i++)
        if (buffers[i].out != NULL)
            st = clm_buffer_read(bufs[i], 0, buffers[i].n, buffers[i].out, NULL);
    for (size_t i = 0; i < n; i++) clm_buffer_destroy(bufs[i]);
    clm_kernel_destroy(kernel);
    clm_program_destroy(prog);
    return st == CLM_OK;
}
