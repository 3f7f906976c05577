#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int caught = -1;

static void pass_on(int number) {
    int code = errno;
    unsigned char byte = (unsigned char)number;
    /* Full, there are so many that one more changes nothing. */
    (void)!write(caught, &byte, 1);
    errno = code;
}

int cprocess_catch(const int *signals, int count) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
    caught = ends[1];
    for (int index = 0; index < count; index++) {
        struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
        sigaction(signals[index], &action, NULL);
    }
    return ends[0];
}

/* What the guardian is told: a time, or one of these. */
enum { END = -1, DISMISS = -2 };

int64_t cprocess_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void set_alarm(int timer, int64_t time) {
    /* 0 would switch it off. */
    if (time < 1) time = 1;
    struct itimerspec alarm = {.it_value = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &alarm, NULL);
}

/* The guardian's whole life. It is a fork of a process with many threads, so it calls nothing but the kernel. */
static void guard(int control, int timer, pid_t group, int64_t valid_until, int64_t grace, volatile int32_t *verdict) {
    int terminated = 0;
    set_alarm(timer, valid_until - grace);
    for (;;) {
        struct pollfd watched[] = {{.fd = control, .events = POLLIN}, {.fd = timer, .events = POLLIN}};
        if (poll(watched, control < 0 ? 0 : 2, -1) < 0) continue;
        int told = 0;
        if (watched[0].revents != 0) {
            int64_t word;
            ssize_t count = read(control, &word, sizeof word);
            if (count < 0) continue;
            if (count == sizeof word && word == DISMISS) _exit(0);
            told = count == 0 || (count == sizeof word && word == END);
            /* Once it has been told to end, it ends. */
            if (!told && !terminated) {
                valid_until = word;
                set_alarm(timer, valid_until - grace);
                continue;
            }
        }
        if (!terminated && (told || cprocess_now() >= valid_until - grace)) {
            terminated = 1;
            *verdict = told ? CPROCESS_WAS_TOLD : CPROCESS_RAN_OUT;
            kill(-group, SIGTERM);
            /* Who is stopped hears nothing. */
            kill(-group, SIGCONT);
            if (told) valid_until = cprocess_now() + grace;
            set_alarm(timer, valid_until);
        }
        if (terminated && cprocess_now() >= valid_until) {
            kill(-group, SIGKILL);
            _exit(0);
        }
        if (terminated && told && watched[0].revents & POLLHUP) {
            /* Nobody is there to tell more: the pipe would be ready for ever. */
            while (cprocess_now() < valid_until && kill(-group, 0) == 0) poll(&watched[1], 1, 20);
            kill(-group, SIGKILL);
            _exit(0);
        }
    }
}

static void become_command(const char *file, char *const *arguments, char *const *environment,
                           const sigset_t *ignored, int terminal, const sigset_t *mask, int failure) {
    setpgid(0, 0);
    if (terminal >= 0) tcsetpgrp(terminal, getpid());
    for (int number = 1; number < NSIG; number++) {
        if (number == SIGKILL || number == SIGSTOP) continue;
        struct sigaction action = {.sa_handler = sigismember(ignored, number) == 1 ? SIG_IGN : SIG_DFL};
        sigaction(number, &action, NULL);
    }
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvpe(file, arguments, environment);
    int code = errno;
    (void)!write(failure, &code, sizeof code);
    _exit(127);
}

static void become_guardian(int control, pid_t group, int64_t valid_until, int64_t grace, volatile int32_t *verdict) {
    setpgid(0, 0);
    int timer = timerfd_create(CLOCK_BOOTTIME, 0);
    /* It must not keep anything open: neither our connections nor the pipe that somebody reads. */
    int low = control < timer ? control : timer, high = control < timer ? timer : control;
    if (low > 0) close_range(0, low - 1, 0);
    if (high > low + 1) close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0U, 0);
    if (timer < 0) _exit(1);
    guard(control, timer, group, valid_until, grace, verdict);
}

int cprocess_start(const char *file, char *const *arguments, char *const *environment, const sigset_t *ignored,
                   int terminal, int64_t valid_until, int64_t grace, cprocess *process) {
    int failure[2], control[2];
    if (pipe2(failure, O_CLOEXEC) != 0) return errno;
    if (pipe2(control, O_CLOEXEC) != 0) {
        int code = errno;
        close(failure[0]), close(failure[1]);
        return code;
    }
    int32_t *verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigset_t all, mask, unblocked;
    sigfillset(&all);
    sigemptyset(&unblocked);
    sigprocmask(SIG_SETMASK, &all, &mask);
    pid_t guardian = -1, command = verdict == MAP_FAILED ? -1 : fork();
    int code = command < 0 ? errno : 0;
    if (command == 0) become_command(file, arguments, environment, ignored, terminal, &unblocked, failure[1]);
    close(failure[1]);
    if (command > 0) {
        setpgid(command, command);
        while (read(failure[0], &code, sizeof code) < 0 && errno == EINTR) {}
        if (code == 0) {
            guardian = fork();
            if (guardian < 0) {
                code = errno;
                kill(-command, SIGKILL);
            }
        }
        if (guardian == 0) {
            close(control[1]);
            become_guardian(control[0], command, valid_until, grace, verdict);
        }
        if (code != 0) {
            while (waitpid(command, NULL, 0) < 0 && errno == EINTR) {}
            if (terminal >= 0) tcsetpgrp(terminal, getpgrp());
        }
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    close(failure[0]);
    close(control[0]);
    if (code != 0) {
        close(control[1]);
        if (verdict != MAP_FAILED) munmap(verdict, sizeof *verdict);
        return code;
    }
    *process = (cprocess){.command = command, .guardian = guardian, .control = control[1], .verdict = verdict};
    return 0;
}

static void tell(const cprocess *process, int64_t word) {
    /* A guardian that is gone has done its work, or was killed: there is nobody to tell. */
    while (write(process->control, &word, sizeof word) < 0 && errno == EINTR) {}
}

void cprocess_prolong(const cprocess *process, int64_t valid_until) { tell(process, valid_until); }
void cprocess_end(const cprocess *process) { tell(process, END); }

void cprocess_dismiss(const cprocess *process) {
    tell(process, DISMISS);
    while (waitpid(process->guardian, NULL, 0) < 0 && errno == EINTR) {}
    close(process->control);
}

int cprocess_wait(const cprocess *process) {
    for (;;) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)process->command, &info, WEXITED | WSTOPPED | WNOWAIT) != 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        if (info.si_code != CLD_STOPPED) return 0;
        /* Taken, or the same stop would be told for ever. */
        waitid(P_PID, (id_t)process->command, &info, WSTOPPED | WNOHANG);
        return info.si_status;
    }
}

int cprocess_reap(const cprocess *process) {
    int status;
    while (waitpid(process->command, &status, 0) < 0) {
        if (errno != EINTR) return 255;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cprocess_group_lives(const cprocess *process) { return kill(-process->command, 0) == 0 || errno == EPERM; }
