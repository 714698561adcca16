# tests.cmake: every tests/<layer>/test_*.c is one cmocka program with the label of its kind.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
get_filename_component(CLM_GOLDEN_DEFAULT ${CMAKE_SOURCE_DIR}/../shared/golden ABSOLUTE)
set(CLM_GOLDEN ${CLM_GOLDEN_DEFAULT} CACHE PATH "Folder with the golden models")

# clm_tests(<folder> <label> <libraries...>)
function(clm_tests folder label)
    file(GLOB sources CONFIGURE_DEPENDS tests/${folder}/test_*.c)
    foreach(source IN LISTS sources)
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source})
        target_link_libraries(${name} PRIVATE ${ARGN} clm_flags PkgConfig::CMOCKA)
        target_compile_definitions(${name} PRIVATE CLM_GOLDEN="${CLM_GOLDEN}"
            CLM_TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data" CLM_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
        add_test(NAME ${name} COMMAND ${name})
        set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 900)
    endforeach()
endfunction()

clm_tests(host unit clm_host)
clm_tests(tuning unit clm_tuning m)
clm_tests(formats unit clm_formats PkgConfig::JANSSON)
clm_tests(text unit clm_text PkgConfig::JANSSON)
clm_tests(quantize unit clm_runtime m)
# What the operators' tests share.
add_library(op_harness STATIC tests/ops/op_harness.c)
target_link_libraries(op_harness PUBLIC clm_ops PkgConfig::CMOCKA)
add_library(amx_emulator STATIC tests/ops/amx_emulator.c)
target_link_libraries(amx_emulator PRIVATE clm_flags)
clm_tests(ops op op_harness amx_emulator m)
clm_tests(runtime unit clm_runtime amx_emulator PkgConfig::JANSSON m)
# Drivers are not built for sanitizers: whole models on devices are no unit test.
set_tests_properties(test_golden test_cl_weight test_cl_kernels test_cl_tiles test_rows test_stages PROPERTIES LABELS e2e)
# The command line's parser is part of the program, not of a library.
add_library(clm_args STATIC tools/args.c tools/args_flags.c tools/cli.c)
target_link_libraries(clm_args PUBLIC clm_runtime Threads::Threads)
clm_tests(cli unit clm_args)
# test_jobs has an engine of its own, in place of the runtime's.
clm_tests(serve unit clm_serve)
clm_tests(eval unit clm_eval clm_args m)

add_test(NAME embed COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/tools/test_embed.py)
set_tests_properties(embed PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT "CLM_GENERATOR=${CMAKE_GENERATOR}")
add_test(NAME cli COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_clm.py)
set_tests_properties(cli PROPERTIES LABELS e2e TIMEOUT 1200
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
add_test(NAME serve COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_serve.py)
set_tests_properties(serve PROPERTIES LABELS e2e TIMEOUT 1200
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
if(CLM_SANITIZE)
    # Drivers are not built for sanitizers; what of it is not about answers runs with the C reference.
    set_tests_properties(serve PROPERTIES LABELS unit
        ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN};CLM_SERVE_ARGS=--backend ref;CLM_SERVE_QUICK=1")
endif()
# OpenAI's own client, and a browser.
set(CLM_CLIENTS_PYTHON python3 CACHE FILEPATH "Python that has openai and selenium")
add_test(NAME openai_client COMMAND ${CLM_CLIENTS_PYTHON} ${CMAKE_SOURCE_DIR}/tests/cli/test_openai_client.py)
add_test(NAME page COMMAND ${CLM_CLIENTS_PYTHON} ${CMAKE_SOURCE_DIR}/tests/cli/test_page.py)
add_test(NAME other_site COMMAND ${CLM_CLIENTS_PYTHON} ${CMAKE_SOURCE_DIR}/tests/cli/test_other_site.py)
set_tests_properties(openai_client page other_site PROPERTIES LABELS e2e TIMEOUT 600 SKIP_RETURN_CODE 77
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>")
add_test(NAME doctor COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_doctor.py)
set_tests_properties(doctor PROPERTIES LABELS e2e TIMEOUT 1200 ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>")
add_test(NAME cli_bad_files COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_bad_files.py)
set_tests_properties(cli_bad_files PROPERTIES LABELS e2e TIMEOUT 1200
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
add_test(NAME cli_bench COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_bench.py)
set_tests_properties(cli_bench PROPERTIES LABELS e2e TIMEOUT 1200 ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>")
add_test(NAME eval COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_eval.py)
set_tests_properties(eval PROPERTIES LABELS e2e TIMEOUT 1200
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
add_test(NAME smollm2 COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_smollm2.py)
set_tests_properties(smollm2 PROPERTIES LABELS e2e TIMEOUT 1200 SKIP_RETURN_CODE 77
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>")
add_test(NAME quantize COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_quantize.py)
set_tests_properties(quantize PROPERTIES LABELS e2e TIMEOUT 1200
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
# Other programs on the files that clm writes: a Python with numpy, gguf and llama-cpp-python.
set(CLM_PEER_PYTHON python3 CACHE FILEPATH "Python that has gguf and llama-cpp-python")
add_test(NAME gguf_peers COMMAND ${CLM_PEER_PYTHON} ${CMAKE_SOURCE_DIR}/tests/cli/test_gguf_peers.py)
set_tests_properties(gguf_peers PROPERTIES LABELS e2e TIMEOUT 1200 SKIP_RETURN_CODE 77
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
add_test(NAME tune COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_tune.py)
set_tests_properties(tune PROPERTIES LABELS e2e TIMEOUT 1200 RUN_SERIAL ON
    ENVIRONMENT "CLM_BIN=$<TARGET_FILE:clm>;CLM_GOLDEN=${CLM_GOLDEN}")
add_test(NAME compare_peers COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/cli/test_compare_peers.py)
set_tests_properties(compare_peers PROPERTIES LABELS e2e)
