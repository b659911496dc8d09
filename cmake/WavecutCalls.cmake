# SPDX-License-Identifier: BSD-3-Clause
# Makes the header with the wrappers of one shape: wavecut_calls_header(OUTPUT COMPILER...). The build fails if the mpi.h of this
# compiler declares a call that src/mpi/calls.list does not know.
function(wavecut_calls_header output)
    set(calls ${PROJECT_SOURCE_DIR}/src/mpi/calls)
    cmake_path(GET output PARENT_PATH folder)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${output} VERBATIM COMMAND_EXPAND_LISTS
                       DEPENDS ${calls}.py ${calls}.list DEPFILE ${output}.d
                       COMMAND Python3::Interpreter ${calls}.py wrappers ${output} ${ARGN})
endfunction()
