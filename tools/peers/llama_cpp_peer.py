"""llama.cpp through llama-cpp-python's C interface. A child of compare_peers.py; see workload.py."""
import argparse
import ctypes

import workload


class Engine:
    def __init__(self, lib, model, threads):
        self.lib = lib
        self.position = 0
        lib.llama_backend_init()
        options = lib.llama_model_default_params()
        options.n_gpu_layers = 0
        if hasattr(options, "load_mode"):
            options.load_mode = lib.LLAMA_LOAD_MODE_NONE  # not mapped: only then are weights repacked
        else:
            options.use_mmap = False
        self.model = lib.llama_model_load_from_file(model.encode(), options)
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {model}")
        options = lib.llama_context_default_params()
        options.n_ctx = workload.CONTEXT
        options.n_batch = options.n_ubatch = 512
        options.n_threads = options.n_threads_batch = threads
        self.context = lib.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")

    def feed(self, n):
        ids = (self.lib.llama_token * n)(*[259 + (self.position + i) * 7919 % 60000 for i in range(n)])
        if self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(ids, n)) != 0:
            raise SystemExit("llama_decode failed")
        self.lib.llama_synchronize(self.context)
        if not self.lib.llama_get_logits_ith(self.context, -1)[0] == self.lib.llama_get_logits_ith(self.context, -1)[0]:
            raise SystemExit("llama.cpp's logits are not numbers")
        self.position += n

    def rewind(self, n):
        if not self.lib.llama_memory_seq_rm(self.lib.llama_get_memory(self.context), 0, n, -1):
            return False
        self.position = n
        return True

    def clear(self):
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        self.position = 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    workload.raise_priority()

    import llama_cpp
    from llama_cpp import llama_cpp as lib
    silent = lib.llama_log_callback(lambda level, text, data: None)
    lib.llama_log_set(silent, ctypes.c_void_p(0))
    engine = Engine(lib, arguments.model, arguments.threads)
    features = [word.split("=")[0].strip() for word in lib.llama_print_system_info().decode().split("|") if "= 1" in word]
    workload.serve(engine, llama_cpp.__version__,
                   " ".join(name for name in features if "AMX" in name or "VNNI" in name or name == "REPACK"))


if __name__ == "__main__":
    main()
