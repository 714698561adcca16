# fuzz.cmake: tests/fuzz/fuzz_*.c, each a libFuzzer program over a reader of files. Needs clang.
if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CLM_FUZZ needs clang: CC=clang CXX=clang++ cmake ...")
endif()
file(GLOB harnesses CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
foreach(harness IN LISTS harnesses)
    get_filename_component(name ${harness} NAME_WE)
    add_executable(${name} ${harness})
    target_link_libraries(${name} PRIVATE clm_serve clm_eval clm_text clm_formats clm_flags)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    # The driver is C++; the shim of SentencePiece is as well.
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endforeach()
