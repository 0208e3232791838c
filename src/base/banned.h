/* base/banned.h - what no module but base and os may call. Included before everything else by the
 * build (banned_args in the top meson.build), so nobody includes it by hand.
 *
 * A ban is a redeclaration with the attribute `deprecated`: any use is an error at compile time,
 * while fields and functions of our own that carry such a name are left alone. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wignored-attributes" /* what the C library defines inline */
#endif
#define BANNED(function, instead) \
    extern __typeof__(function) function __attribute__((deprecated("use " instead)))

/* Heap: base/alloc.h can fail the nth allocation and count. */
BANNED(malloc, "mem_alloc");
BANNED(calloc, "mem_calloc");
BANNED(realloc, "mem_realloc");
BANNED(reallocarray, "mem_realloc");
BANNED(free, "mem_free");
BANNED(strdup, "mem_strdup");
BANNED(strndup, "mem_strndup");
BANNED(aligned_alloc, "mem_alloc");
BANNED(posix_memalign, "mem_alloc");
BANNED(asprintf, "buf_printf or arena_printf");
BANNED(vasprintf, "buf_printf or arena_printf");

/* Text without bounds, or with state or locale. */
BANNED(strcpy, "memcpy with a length");
BANNED(stpcpy, "memcpy with a length");
BANNED(strcat, "struct buf");
BANNED(strncpy, "memcpy with a length");
BANNED(strncat, "struct buf");
BANNED(sprintf, "snprintf");
BANNED(vsprintf, "vsnprintf");
BANNED(strtok, "strchr");
BANNED(strerror, "err_text");
BANNED(atoi, "strtol with checks");
BANNED(atol, "strtol with checks");
BANNED(atoll, "strtoll with checks");
BANNED(setenv, "configuration");

/* Clocks and chance come from the env, or the simulator is blind. */
BANNED(time, "env_wall_ms");
BANNED(gettimeofday, "env_wall_ms");
BANNED(clock_gettime, "env_now_ns");
BANNED(localtime, "integers");
BANNED(gmtime, "integers");
BANNED(sleep, "a loop timer");
BANNED(usleep, "a loop timer");
BANNED(nanosleep, "a loop timer");
BANNED(rand, "env_random");
BANNED(srand, "env_random");
BANNED(random, "env_random");
BANNED(getrandom, "env_random");

/* Threads and locks. */
BANNED(pthread_create, "a loop or the pool");
BANNED(pthread_mutex_init, "os/mutex.h");
BANNED(pthread_mutex_lock, "os/mutex.h");
BANNED(pthread_mutex_trylock, "os/mutex.h");
BANNED(pthread_rwlock_init, "os/mutex.h");
BANNED(pthread_cond_init, "a loop or the pool");
BANNED(pthread_self, "loop_is_current");

/* Files. */
BANNED(open, "env_open");
BANNED(openat, "env_open");
BANNED(creat, "env_open");
BANNED(close, "env_file_close");
BANNED(read, "env_read_at");
BANNED(pread, "env_read_at");
BANNED(write, "env_write_at");
BANNED(pwrite, "env_write_at");
BANNED(readv, "env_read_at");
BANNED(writev, "env_writev_at");
BANNED(preadv, "env_read_at");
BANNED(pwritev, "env_writev_at");
BANNED(fsync, "env_sync");
BANNED(fdatasync, "env_sync");
BANNED(ftruncate, "env_truncate");
BANNED(truncate, "env_truncate");
BANNED(fallocate, "env_preallocate");
BANNED(unlink, "env_unlink");
BANNED(rename, "env_rename");
BANNED(remove, "env_unlink");
BANNED(mkdir, "env_mkdir");
BANNED(rmdir, "env_rmdir");
BANNED(fstat, "env_file_size");
BANNED(stat, "env_stat");

/* Sockets. */
BANNED(socket, "os/loop.h");
BANNED(connect, "sock_connect");
BANNED(accept, "sock_listen");
BANNED(accept4, "sock_listen");
BANNED(send, "sock_writev");
BANNED(recv, "sock_read");
BANNED(sendmsg, "sock_writev");
BANNED(recvmsg, "sock_read");
BANNED(setsockopt, "os/loop.h");

/* Standard streams belong to programs: the command line and node's usage text. */
#ifndef MOLDAU_MAY_PRINT
BANNED(printf, "diag_event");
BANNED(fprintf, "diag_event");
BANNED(vprintf, "diag_event");
BANNED(vfprintf, "diag_event");
BANNED(puts, "diag_event");
BANNED(fputs, "diag_event");
BANNED(putchar, "diag_event");
BANNED(fopen, "env_open");
BANNED(fwrite, "env_write_at");
BANNED(perror, "diag_event");
#endif

#undef BANNED
#ifdef __clang__
#pragma clang diagnostic pop
#endif
#endif
