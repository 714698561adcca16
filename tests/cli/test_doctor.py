"""clm doctor as a user meets it: what it says of drivers that do not load, of none at all, of folders that cannot
be written, and of a driver that miscalculates or crashes (a library between clm and the OpenCL loader does that).

Environment: CLM_BIN (the program).
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
DEMO = os.path.join(ROOT, "configs", "demo.gguf")

# In the process that runs kernels: MODE wrong flips a bit of what is read back, crash ends it at the first launch.
SHIM = r"""
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int worker(void)
{
    static char line[4096];
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t n = f != NULL ? fread(line, 1, sizeof line - 1, f) : 0;

    if (f != NULL) fclose(f);
    return n > 0 && memmem(line, n, "tune-worker", 11) != NULL;
}

static int mode_is(const char *mode)
{
    const char *text = getenv("MODE");
    return text != NULL && strcmp(text, mode) == 0 && worker();
}

cl_int clEnqueueReadBuffer(cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t n, void *p, cl_uint e,
                           const cl_event *w, cl_event *v)
{
    cl_int (*next)(cl_command_queue, cl_mem, cl_bool, size_t, size_t, void *, cl_uint, const cl_event *, cl_event *) =
        dlsym(RTLD_NEXT, "clEnqueueReadBuffer");
    cl_int rc = next(q, m, b, o, n, p, e, w, v);

    if (n > 0 && mode_is("wrong")) ((unsigned char *)p)[0] ^= 0x40;
    return rc;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g,
                              const size_t *l, cl_uint e, const cl_event *w, cl_event *v)
{
    cl_int (*next)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,
                   const cl_event *, cl_event *) = dlsym(RTLD_NEXT, "clEnqueueNDRangeKernel");

    if (mode_is("crash")) abort();
    return next(q, k, d, o, g, l, e, w, v);
}
"""


def doctor(*args, env=None):
    """Exit code, findings, stderr."""
    done = subprocess.run([CLM, "doctor", "--json", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, **(env or {})}, timeout=600)
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.vendors = os.path.join(cls.folder, "vendors")
        os.mkdir(cls.vendors)
        shutil.copy("/etc/OpenCL/vendors/pocl.icd", cls.vendors)
        for name, text in (("broken.icd", "libnosuchdriver.so.1\n"), ("empty.icd", " \n"), ("notes.txt", "x")):
            with open(os.path.join(cls.vendors, name), "w", encoding="ascii") as file:
                file.write(text)
        source, cls.shim = os.path.join(cls.folder, "shim.c"), os.path.join(cls.folder, "shim.so")
        with open(source, "w", encoding="ascii") as file:
            file.write(SHIM)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", cls.shim, source, "-ldl"], check=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def only(self, findings, **wanted):
        """The one finding with these values; `text` and `advice` are parts."""
        def fits(f):
            return all(v in f[k] if k in ("text", "advice") else v == f[k] for k, v in wanted.items())
        found = [f for f in findings if fits(f)]
        self.assertEqual(len(found), 1, (wanted, findings))
        return found[0]

    def test_one_good_driver(self):
        code, findings, err = doctor("-m", DEMO, env={"OCL_ICD_VENDORS": self.vendors})
        self.assertEqual(code, 0, (findings, err))
        self.only(findings, section="OpenCL", level="warning", text="libnosuchdriver.so.1", advice="remove the file")
        self.only(findings, section="OpenCL", level="warning", text="empty.icd is empty")
        self.only(findings, section="OpenCL", level="ok", text="pocl.icd")
        self.only(findings, section="OpenCL", level="ok", text="would be used")
        self.only(findings, level="ok", text="give what the reference gives")
        self.only(findings, section="Model", level="ok", text="demo.gguf needs")
        self.assertEqual(len([f for f in findings if f["section"] == "Files" and f["level"] == "ok"]), 3)
        self.assertFalse([f for f in findings if f["level"] == "failed"])

    def test_no_driver_and_no_place(self):
        with tempfile.TemporaryDirectory() as empty:
            code, findings, err = doctor(env={"OCL_ICD_VENDORS": empty, "XDG_CACHE_HOME": "/proc/nowhere"})
        self.assertEqual(code, 4, (findings, err))
        self.only(findings, section="OpenCL", level="warning", text="names no driver")
        self.only(findings, section="OpenCL", level="failed", text="pocl-opencl-icd")
        self.only(findings, section="Files", level="warning", text="compiled kernels", advice="XDG_CACHE_HOME")
        self.assertIn("1 failure", err)

    def test_no_such_device_or_model(self):
        env = {"OCL_ICD_VENDORS": os.path.join(self.vendors, "pocl.icd")}
        code, findings, _ = doctor("--device", "nothing like this", "-m", "nofile.gguf", env=env)
        self.assertEqual(code, 2, findings)
        self.only(findings, level="failed", text="there is no such device")
        self.only(findings, level="failed", text="nofile.gguf")

    def test_driver_that_miscalculates(self):
        env = {"OCL_ICD_VENDORS": self.vendors, "LD_PRELOAD": self.shim, "MODE": "wrong"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 6, (findings, err))
        self.only(findings, level="failed", text="kernel gather: wrong: gather: element 0 of buffer y is")
        self.only(findings, level="failed", text="kernels do not work", advice="--kernels plain")
        self.assertFalse([f for f in findings if "give what the reference gives" in f["text"]])

    def test_driver_that_crashes(self):
        env = {"OCL_ICD_VENDORS": self.vendors, "LD_PRELOAD": self.shim, "MODE": "crash"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 1, (findings, err))
        self.only(findings, level="failed", text="takes the program down", advice="update its driver")

    def test_text(self):
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run([CLM, "doctor"], stdin=subprocess.DEVNULL, capture_output=True,
                                  env={**os.environ, "OCL_ICD_VENDORS": empty})
        out = done.stdout.decode()
        self.assertEqual(done.returncode, 4)
        self.assertRegex(out, r"(?s)^OpenCL\n  warning  .*\n           -> .*\n  FAILED   .*\n\nFiles\n  ok ")
        self.assertNotIn("\033", out)


if __name__ == "__main__":
    unittest.main(verbosity=1)
