"""clm doctor as a user meets it: what it says of drivers that do not load, of none at all, of folders that cannot
be written, and of a driver that miscalculates or crashes (a library between clm and the OpenCL loader does that).

Environment: CLM_BIN (the program).
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
DEMO = os.path.join(ROOT, "configs", "demo.gguf")

# In the process that runs kernels: MODE wrong flips a bit of what is read back, crash ends it at the first launch,
# late at the launch of a kernel in the middle of the list, and refuse lets no context be made.
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

    char name[64] = "";

    clGetKernelInfo(k, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    if (mode_is("crash") || (mode_is("late") && strcmp(name, "gather") == 0)) abort();
    return next(q, k, d, o, g, l, e, w, v);
}

cl_context clCreateContext(const cl_context_properties *p, cl_uint n, const cl_device_id *d,
                           void (CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *u, cl_int *rc)
{
    cl_context (*next)(const cl_context_properties *, cl_uint, const cl_device_id *,
                       void (CL_CALLBACK *)(const char *, const void *, size_t, void *), void *, cl_int *) =
        dlsym(RTLD_NEXT, "clCreateContext");

    if (!mode_is("refuse")) return next(p, n, d, f, u, rc);
    *rc = CL_OUT_OF_HOST_MEMORY;
    return NULL;
}
"""

# A driver that ends whoever loads it.
FATAL = "#include <stdlib.h>\n__attribute__((constructor)) static void begin(void) { abort(); }\n"


def compile_shared(source, path):
    with open(path + ".c", "w", encoding="ascii") as file:
        file.write(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, path + ".c", "-ldl"], check=True)
    return path


def doctor(*args, env=None):
    """Exit code, findings, stderr."""
    done = subprocess.run([CLM, "doctor", "--json", *args], stdin=subprocess.DEVNULL, capture_output=True,
                          env={**os.environ, **(env or {})}, timeout=600)
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.vendors, cls.pocl = os.path.join(cls.folder, "vendors"), os.path.join(cls.folder, "pocl")
        for folder in (cls.vendors, cls.pocl):
            os.mkdir(folder)
            shutil.copy("/etc/OpenCL/vendors/pocl.icd", folder)
        for name, text in (("broken.icd", b"libnosuchdriver.so.1\n"), ("empty.icd", b" \n"), ("notes.txt", b"x"),
                           ("other.icd", b"libc.so.6\n"), ("strange.icd", b"\xff\xfe\x1b[31mred.so\n")):
            with open(os.path.join(cls.vendors, name), "wb") as file:
                file.write(text)
        cls.shim = compile_shared(SHIM, os.path.join(cls.folder, "shim.so"))

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
        self.only(findings, section="OpenCL", level="warning", text="libc.so.6, which is no OpenCL driver")
        self.assertNotIn("\x1b", self.only(findings, section="OpenCL", level="warning", text="strange.icd")["text"])
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
        env = {"OCL_ICD_VENDORS": self.pocl}
        code, findings, _ = doctor("--device", "nothing like this", "-m", "nofile.gguf", env=env)
        self.assertEqual(code, 2, findings)
        self.only(findings, level="failed", text="there is no such device")
        self.only(findings, level="failed", text="nofile.gguf")

    def test_driver_that_miscalculates(self):
        env = {"OCL_ICD_VENDORS": self.pocl, "LD_PRELOAD": self.shim, "MODE": "wrong"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 6, (findings, err))
        self.only(findings, level="failed", text="kernel gather: wrong: gather: element 0 of buffer y is")
        self.only(findings, level="failed", text="kernels do not work", advice="--kernels plain")
        self.assertFalse([f for f in findings if "give what the reference gives" in f["text"]])

    def test_driver_that_crashes(self):
        env = {"OCL_ICD_VENDORS": self.pocl, "LD_PRELOAD": self.shim, "MODE": "crash"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 1, (findings, err))
        self.only(findings, level="failed", text="takes the program down", advice="update its driver")

    def test_kernel_that_crashes(self):
        env = {"OCL_ICD_VENDORS": self.pocl, "LD_PRELOAD": self.shim, "MODE": "late"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 6, (findings, err))
        self.only(findings, level="failed", text="kernel gather: crash")
        self.only(findings, level="failed", text="1 of ", advice="update the driver")

    def test_device_that_cannot_be_opened(self):
        env = {"OCL_ICD_VENDORS": self.pocl, "LD_PRELOAD": self.shim, "MODE": "refuse"}
        code, findings, err = doctor(env=env)
        self.assertEqual(code, 1, (findings, err))
        self.only(findings, level="failed", text="clCreateContext: CL_OUT_OF_HOST_MEMORY")

    def test_driver_that_crashes_when_it_is_loaded(self):
        with tempfile.TemporaryDirectory() as vendors:
            library = compile_shared(FATAL, os.path.join(vendors, "fatal.so"))
            with open(os.path.join(vendors, "fatal.icd"), "w", encoding="ascii") as file:
                file.write(library + "\n")
            code, findings, err = doctor(env={"OCL_ICD_VENDORS": vendors})
        self.assertEqual(code, 1, (findings, err))
        self.only(findings, level="warning", text="fatal.so takes programs down (Aborted)", advice="remove the file")
        self.only(findings, level="failed", text="looking for devices takes programs down")
        self.assertEqual(len([f for f in findings if f["section"] == "Files"]), 3)

    def test_model_in_other_sizes(self):
        env = {"OCL_ICD_VENDORS": "/nowhere/none.icd"}
        sizes = []
        for args in (["-c", "4096"], [], ["-c", "1024", "--kv-cache-type", "int8"], ["-c", "1024", "--weights", "f16"]):
            code, findings, _ = doctor("-m", DEMO, *args, env=env)
            self.assertEqual(code, 4)
            self.only(findings, level="warning", text="none.icd", advice="variable")
            text = self.only(findings, section="Model", level="ok", text="needs")["text"]
            sizes.append(float(text.split("needs ")[1].split()[0]))
        # 5.4 MB of weights (10.1 in halves), 15.7 MB of keys and values for the 1,024 tokens that it was trained with, 62.9 for 4,096.
        self.assertEqual(sizes, [0.07, 0.02, 0.01, 0.03])

    def test_interrupt(self):
        run = subprocess.Popen([CLM, "doctor"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "OCL_ICD_VENDORS": self.pocl})
        for line in run.stdout:
            if b"Device 0" in line:
                break
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=30)
        self.assertEqual(run.returncode, 130)
        self.assertIn(b"Interrupted", out)

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
