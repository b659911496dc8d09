! SPDX-License-Identifier: BSD-3-Clause
!
! wave: a membrane that swings, clamped at its edges. Fortran with mpi_f08, aligned cut: columns are split over the ranks,
! neighbours exchange their edge columns in each step.
!
! It checks itself: the scheme keeps a discrete energy, up to rounding.
program wave
    use mpi_f08
    use wavecut
    use, intrinsic :: iso_fortran_env, only: error_unit, int64, real64
    implicit none

    integer, parameter :: TO_LEFT = 1, TO_RIGHT = 2 ! tags: the way an edge column travels
    real(real64), parameter :: COURANT2 = 0.2_real64 ! (speed * time step / distance)**2

    integer :: rank, ranks, left, right
    integer :: n = 512, steps = 1000, first, columns ! this rank has columns first + 1 to first + columns of n
    real(real64) :: slow_ms = 0
    character(len=1024) :: out = ""
    integer, target :: now = 0
    real(real64), allocatable, target :: u(:, :), old(:, :) ! a column more on each side mirrors the neighbours' edges
    real(real64), allocatable :: next(:, :)
    real(real64) :: start
    logical :: well

    interface
        integer(c_int) function usleep(microseconds) bind(c)
            import :: c_int
            integer(c_int), value :: microseconds
        end function
    end interface

    call read_options()
    call MPI_Init()
    call MPI_Comm_rank(MPI_COMM_WORLD, rank)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    call make_membrane()
    start = energy()
    ! When one of these fails, the library has said why, and all ranks are told alike.
    if (.not. begin_run()) then
        call MPI_Finalize()
        stop 1
    end if
    do while (now < steps)
        if (wavecut_safepoint() /= WAVECUT_OK) error stop "wavecut_safepoint"
        call step()
        now = now + 1
        if (slow_ms > 0) well = usleep(int(1000 * slow_ms, c_int)) == 0
    end do
    well = check()
    call save()
    well = wavecut_finalize() == WAVECUT_OK .and. well
    call MPI_Finalize()
    if (.not. well) stop 1

contains

    subroutine read_options()
        character(len=1024) :: argument
        integer :: i, equals, stat
        do i = 1, command_argument_count()
            call get_command_argument(i, argument)
            equals = index(argument, "=")
            stat = 0
            select case (argument(:max(equals, 1)))
            case ("--steps=")
                read (argument(equals + 1:), *, iostat=stat) steps
            case ("--size=")
                read (argument(equals + 1:), *, iostat=stat) n
            case ("--slow=")
                read (argument(equals + 1:), *, iostat=stat) slow_ms
            case ("--out=")
                out = argument(equals + 1:)
            case default
                stat = 1
            end select
            if (stat /= 0) then
                write (error_unit, "(3a)") "wave: ", trim(argument), &
                    ": the options are --steps=N, --size=POINTS along each side, --slow=MS in each step, --out=FILE"
                stop 2
            end if
        end do
    end subroutine

    ! At rest, with a bump in one corner.
    subroutine make_membrane()
        integer :: i, j
        real(real64) :: x, y
        if (n < 3 .or. n < ranks) then
            if (rank == 0) write (error_unit, "(a)") "wave: --size is too small for so many ranks"
            call MPI_Finalize()
            stop 1
        end if
        first = int(int(n, int64) * rank / ranks)
        columns = int(int(n, int64) * (rank + 1) / ranks) - first
        left = merge(rank - 1, MPI_PROC_NULL, rank > 0)
        right = merge(rank + 1, MPI_PROC_NULL, rank + 1 < ranks)
        allocate (u(n, 0:columns + 1), old(n, 0:columns + 1), next(n, 0:columns + 1))
        u = 0
        do j = 1, columns
            do i = 2, n - 1
                x = real(first + j, real64) / n - 0.3_real64
                y = real(i, real64) / n - 0.4_real64
                u(i, j) = exp(-100 * (x * x + y * y))
            end do
        end do
        if (left == MPI_PROC_NULL) u(:, 1) = 0
        if (right == MPI_PROC_NULL) u(:, columns) = 0
        next = 0
        call exchange(u)
        old = u
    end subroutine

    logical function begin_run()
        integer(c_size_t) :: whole(2), part(2), place(2)
        integer(c_int) :: restarted
        whole = [n, n]
        part = [n, columns]
        place = [0, first]
        begin_run = wavecut_init(MPI_COMM_WORLD%MPI_VAL) == WAVECUT_OK
        if (begin_run) begin_run = wavecut_protect_array("u", c_loc(u(1, 1)), MPI_DOUBLE_PRECISION%MPI_VAL, 2, &
                                                         whole, part, place) == WAVECUT_OK
        if (begin_run) begin_run = wavecut_protect_array("old", c_loc(old(1, 1)), MPI_DOUBLE_PRECISION%MPI_VAL, 2, &
                                                         whole, part, place) == WAVECUT_OK
        if (begin_run) begin_run = wavecut_protect("step", c_loc(now), 1_c_size_t, MPI_INTEGER%MPI_VAL) == WAVECUT_OK
        if (begin_run) begin_run = wavecut_restore(restarted) == WAVECUT_OK
        if (.not. begin_run) return
        if (restarted /= 0 .and. rank == 0) print "(a, i0)", "wave: restarted at step ", now
    end function

    ! Fills the mirrored columns of a field.
    subroutine exchange(field)
        real(real64), intent(inout), contiguous, asynchronous :: field(:, 0:)
        type(MPI_Request) :: requests(4)
        call MPI_Irecv(field(:, 0), n, MPI_DOUBLE_PRECISION, left, TO_RIGHT, MPI_COMM_WORLD, requests(1))
        call MPI_Irecv(field(:, columns + 1), n, MPI_DOUBLE_PRECISION, right, TO_LEFT, MPI_COMM_WORLD, requests(2))
        call MPI_Isend(field(:, 1), n, MPI_DOUBLE_PRECISION, left, TO_LEFT, MPI_COMM_WORLD, requests(3))
        call MPI_Isend(field(:, columns), n, MPI_DOUBLE_PRECISION, right, TO_RIGHT, MPI_COMM_WORLD, requests(4))
        call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE)
    end subroutine

    subroutine step()
        integer :: i, j
        call exchange(u)
        do j = merge(2, 1, left == MPI_PROC_NULL), columns - merge(1, 0, right == MPI_PROC_NULL)
            do i = 2, n - 1
                next(i, j) = 2 * u(i, j) - old(i, j) + COURANT2 * &
                             (u(i - 1, j) + u(i + 1, j) + u(i, j - 1) + u(i, j + 1) - 4 * u(i, j))
            end do
        end do
        ! The arrays stay where they are protected.
        old(:, 1:columns) = u(:, 1:columns)
        u(:, 1:columns) = next(:, 1:columns)
    end subroutine

    ! Kinetic energy between the last two steps, and the potential one that goes with it.
    real(real64) function energy()
        real(real64) :: mine
        integer :: i, j
        call exchange(u)
        call exchange(old)
        mine = 0
        do j = 1, columns
            do i = 1, n
                mine = mine + (u(i, j) - old(i, j))**2
                if (i < n) mine = mine + COURANT2 * (u(i + 1, j) - u(i, j)) * (old(i + 1, j) - old(i, j))
                if (j < columns .or. right /= MPI_PROC_NULL) &
                    mine = mine + COURANT2 * (u(i, j + 1) - u(i, j)) * (old(i, j + 1) - old(i, j))
            end do
        end do
        call MPI_Allreduce(mine, energy, 1, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
    end function

    logical function check()
        real(real64) :: ending
        ending = energy()
        check = abs(ending - start) <= 1e-9_real64 * start .and. maxval(abs(u)) < 2
        if (rank == 0) print "(2a, es16.9, a, es16.9, a)", "wave: ", merge("checked: energy", "WRONG: energy  ", check), &
            ending, " (at the start ", start, ")"
        call MPI_Bcast(check, 1, MPI_LOGICAL, 0, MPI_COMM_WORLD)
    end function

    ! The membrane at the end, rank after rank.
    subroutine save()
        integer :: unit, from
        type(MPI_Status) :: status
        real(real64), allocatable :: part(:)
        integer :: elements
        if (out == "") return
        if (rank > 0) then
            call MPI_Send(u(:, 1:columns), n * columns, MPI_DOUBLE_PRECISION, 0, 3, MPI_COMM_WORLD)
            return
        end if
        open (newunit=unit, file=out, access="stream", form="unformatted", status="replace")
        write (unit) u(:, 1:columns)
        do from = 1, ranks - 1
            call MPI_Probe(from, 3, MPI_COMM_WORLD, status)
            call MPI_Get_count(status, MPI_DOUBLE_PRECISION, elements)
            allocate (part(elements))
            call MPI_Recv(part, elements, MPI_DOUBLE_PRECISION, from, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
            write (unit) part
            deallocate (part)
        end do
        close (unit)
    end subroutine
end program
