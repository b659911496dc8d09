! SPDX-License-Identifier: BSD-3-Clause
!
! The calls of wavecut.h for Fortran; that header says what each does, who calls it, and how it fails. There is no code
! here, so nothing but the library itself has to be linked.
!
! - Functions return WAVECUT_OK or another of these numbers.
! - Handles of MPI are integers: with mpi_f08 their component, as in wavecut_init(MPI_COMM_WORLD%MPI_VAL).
! - What is protected is contiguous and has the attribute target or pointer:
!       status = wavecut_protect("u", c_loc(u), size(u, kind=c_size_t), MPI_DOUBLE_PRECISION)
! - Shapes and offsets of global arrays are in Fortran's order: in the file, and in C and Python, the axes are the other way round.
!   An offset counts from 0.
! - Requests are protected as the program has them, integers or type(MPI_Request):
!       status = wavecut_protect_requests("halo", c_loc(requests), size(requests))
module wavecut
    use, intrinsic :: iso_c_binding ! the program gets c_loc and c_size_t with it
    implicit none

    integer(c_int), parameter :: WAVECUT_OK = 0
    integer(c_int), parameter :: WAVECUT_ERR_ARGUMENT = 1
    integer(c_int), parameter :: WAVECUT_ERR_ORDER = 2
    integer(c_int), parameter :: WAVECUT_ERR_NAME = 3
    integer(c_int), parameter :: WAVECUT_ERR_TYPE = 4
    integer(c_int), parameter :: WAVECUT_ERR_MISMATCH = 5
    integer(c_int), parameter :: WAVECUT_ERR_NOT_FOUND = 6
    integer(c_int), parameter :: WAVECUT_ERR_DAMAGED = 7
    integer(c_int), parameter :: WAVECUT_ERR_FINISHED = 8
    integer(c_int), parameter :: WAVECUT_ERR_IO = 9
    integer(c_int), parameter :: WAVECUT_ERR_MEMORY = 10
    integer(c_int), parameter :: WAVECUT_ERR_SETTING = 11
    integer(c_int), parameter :: WAVECUT_ERR_MPI = 12
    integer(c_int), parameter :: WAVECUT_ERR_UNSUPPORTED = 13
    integer(c_int), parameter :: WAVECUT_ERR_PEER = 14
    integer(c_int), parameter :: WAVECUT_ERR_CALLBACK = 15

    integer(c_int), parameter :: WAVECUT_ALIGNED = 0
    integer(c_int), parameter :: WAVECUT_IMMEDIATE = 1

    integer(c_int), parameter :: WAVECUT_NO_HINT = 0
    integer(c_int), parameter :: WAVECUT_STABLE = 1

    integer, parameter :: WAVECUT_NAME_MAX = 255

    type, bind(c) :: wavecut_info
        integer(c_int) :: restarted
        integer(c_int) :: in_progress
        integer(c_int64_t) :: last_snapshot
        integer(c_int64_t) :: committed
        integer(c_int64_t) :: voided
        integer(c_int64_t) :: failed
        integer(c_int64_t) :: restored_messages
        real(c_double) :: stall_s
        real(c_double) :: commit_s
        character(kind=c_char) :: last_reason(256) ! ends with a zero
    end type

    ! These take strings or handles of Fortran.
    interface
        ! The texts are cut, or filled with blanks.
        subroutine wavecut_status_text(status, text)
            import :: c_int
            integer(c_int), value :: status
            character(len=*), intent(out) :: text
        end subroutine

        subroutine wavecut_status_name(status, text)
            import :: c_int
            integer(c_int), value :: status
            character(len=*), intent(out) :: text
        end subroutine

        subroutine wavecut_error_text(text)
            character(len=*), intent(out) :: text
        end subroutine

        integer(c_int) function wavecut_init(comm)
            import :: c_int
            integer, value :: comm
        end function

        integer(c_int) function wavecut_protect(name, address, count, type)
            import :: c_int, c_ptr, c_size_t
            character(len=*), intent(in) :: name
            type(c_ptr), value :: address
            integer(c_size_t), value :: count
            integer, value :: type
        end function

        integer(c_int) function wavecut_protect_array(name, address, type, ndims, global, local, offset)
            import :: c_int, c_ptr, c_size_t
            character(len=*), intent(in) :: name
            type(c_ptr), value :: address
            integer, value :: type
            integer(c_int), value :: ndims
            integer(c_size_t), intent(in) :: global(*), local(*), offset(*)
        end function

        ! save and load: c_funloc of functions with bind(c).
        integer(c_int) function wavecut_protect_callback(name, save, load, user)
            import :: c_int, c_funptr, c_ptr
            character(len=*), intent(in) :: name
            type(c_funptr), value :: save, load
            type(c_ptr), value :: user
        end function

        ! requests: c_loc of an array that has the attributes target and asynchronous.
        integer(c_int) function wavecut_protect_requests(name, requests, count)
            import :: c_int, c_ptr
            character(len=*), intent(in) :: name
            type(c_ptr), value :: requests
            integer(c_int), value :: count
        end function

        integer(c_int) function wavecut_hint(name, hint)
            import :: c_int
            character(len=*), intent(in) :: name
            integer(c_int), value :: hint
        end function

        integer(c_int) function wavecut_unprotect(name)
            import :: c_int
            character(len=*), intent(in) :: name
        end function

        integer(c_int) function wavecut_stored(name, count, type)
            import :: c_int, c_size_t
            character(len=*), intent(in) :: name
            integer(c_size_t), intent(out), optional :: count
            integer, intent(out), optional :: type
        end function
    end interface

    ! These are those of C.
    interface
        integer(c_int) function wavecut_cut(mode) bind(c)
            import :: c_int
            integer(c_int), value :: mode
        end function

        integer(c_int) function wavecut_write(sink, bytes, count) bind(c)
            import :: c_int, c_ptr, c_size_t
            type(c_ptr), value :: sink, bytes
            integer(c_size_t), value :: count
        end function

        ! memory: for c_f_pointer.
        integer(c_int) function wavecut_alloc(bytes, memory) bind(c)
            import :: c_int, c_ptr, c_size_t
            integer(c_size_t), value :: bytes
            type(c_ptr), intent(out) :: memory
        end function

        integer(c_int) function wavecut_free(memory) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), value :: memory
        end function

        integer(c_int) function wavecut_restore(restarted) bind(c)
            import :: c_int
            integer(c_int), intent(out), optional :: restarted
        end function

        integer(c_int) function wavecut_safepoint() bind(c)
            import :: c_int
        end function

        integer(c_int) function wavecut_request() bind(c)
            import :: c_int
        end function

        integer(c_int) function wavecut_status_get(info) bind(c)
            import :: c_int, wavecut_info
            type(wavecut_info), intent(inout) :: info
        end function

        integer(c_int) function wavecut_finalize() bind(c)
            import :: c_int
        end function
    end interface
end module
