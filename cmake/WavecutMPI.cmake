# SPDX-License-Identifier: BSD-3-Clause
# Which MPI is this? Used by the build and, installed, by WavecutConfig.cmake.

# Points find_package(MPI) at the wanted MPI where a system has several side by side (mpicc.openmpi, mpicc.mpich). With an empty
# name, with MPI_C_COMPILER set by the user, or where there are no such names, it changes nothing.
function(wavecut_choose_mpi name)
    if(name STREQUAL "" OR MPI_C_COMPILER)
        return()
    endif()
    find_program(WAVECUT_MPICC NAMES mpicc.${name})
    find_program(WAVECUT_MPIEXEC NAMES mpirun.${name} mpiexec.${name})
    mark_as_advanced(WAVECUT_MPICC WAVECUT_MPIEXEC)
    if(WAVECUT_MPICC)
        set(MPI_C_COMPILER "${WAVECUT_MPICC}" CACHE FILEPATH "MPI compiler wrapper for C")
    endif()
    if(WAVECUT_MPIEXEC AND NOT MPIEXEC_EXECUTABLE)
        set(MPIEXEC_EXECUTABLE "${WAVECUT_MPIEXEC}" CACHE FILEPATH "Executable for running MPI programs")
    endif()
endfunction()

# Sets <variable> to openmpi or mpich, by the macros of the mpi.h that MPI::MPI_C uses. Call it after find_package(MPI).
function(wavecut_mpi_name variable)
    include(CheckCSourceCompiles)
    set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
    set(CMAKE_REQUIRED_QUIET ON)
    foreach(pair "openmpi:OPEN_MPI" "mpich:MPICH_VERSION")
        string(REPLACE ":" ";" pair "${pair}")
        list(GET pair 0 name)
        list(GET pair 1 macro)
        # Looked up again when the compiler changes in the same build directory.
        string(MAKE_C_IDENTIFIER "WAVECUT_MPI_IS_${name}_${MPI_C_COMPILER}" result)
        check_c_source_compiles("#include <mpi.h>\n#ifndef ${macro}\n#error\n#endif\nint main(void) { return 0; }" ${result})
        if(${result})
            set(${variable} ${name} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "Wavecut is built for Open MPI or MPICH (and its descendants); ${MPI_C_COMPILER} is neither.")
endfunction()
