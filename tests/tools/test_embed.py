"""An incremental build notices kernel files that were removed, renamed or moved in, whatever their times say.

Environment: CLM_GENERATOR (of CMake; default Ninja).
"""
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATOR = os.environ.get("CLM_GENERATOR", "Ninja")
LONG_AGO = 1000000000


def names(embedded):
    """What the table of an embedded C file calls its files."""
    with open(embedded, encoding="utf-8") as file:
        return {line.split('"')[1] for line in file if line.startswith('    {"')}


class Embed(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        source = os.path.join(self.folder, "source")
        self.kernels, self.build = os.path.join(source, "cl"), os.path.join(self.folder, "build")
        os.mkdir(source)
        for name in ("CMakeLists.txt", "configs", "host", "runtime", "tools", "tuning"):
            os.symlink(os.path.join(ROOT, name), os.path.join(source, name))
        shutil.copytree(os.path.join(ROOT, "cl"), self.kernels)
        self.run_cmake("-S", source, "-B", self.build, "-G", GENERATOR, "-DCLM_BUILD_TESTS=OFF")

    def run_cmake(self, *args):
        done = subprocess.run(["cmake", *args], capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr).decode())
        return done.stdout.decode()

    def embed(self):
        # Makefiles have no target for one generated file.
        target = "kernels_embedded.c" if GENERATOR == "Ninja" else "clm_host"
        out = self.run_cmake("--build", self.build, "--target", target)
        return names(os.path.join(self.build, "kernels_embedded.c")), out

    def path(self, name):
        return os.path.join(self.kernels, name)

    def test_files_come_and_go(self):
        first, _ = self.embed()
        self.assertIn("rmsnorm", first)
        self.assertEqual(first, {name[:-3] for name in os.listdir(self.kernels)})
        if GENERATOR == "Ninja":
            self.assertIn("no work to do", self.embed()[1])

        os.remove(self.path("gather.cl"))
        self.assertEqual(self.embed()[0], first - {"gather"})
        os.rename(self.path("rope.cl"), self.path("spin.cl"))
        self.assertEqual(self.embed()[0], first - {"gather", "rope"} | {"spin"})
        moved = os.path.join(self.folder, "moved.cl")
        shutil.copyfile(self.path("add.cl"), moved)
        os.utime(moved, (LONG_AGO, LONG_AGO))
        os.rename(moved, self.path("moved.cl"))
        self.assertEqual(self.embed()[0], first - {"gather", "rope"} | {"spin", "moved"})
        if GENERATOR == "Ninja":
            self.assertIn("no work to do", self.embed()[1])


if __name__ == "__main__":
    unittest.main(verbosity=1)
