/* A builder that tries to get out. `attacks NAME [ARGUMENT]...`; whatever it
 * achieves and must not is printed as a line that begins with ESCAPED. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *out;

static void escaped(const char *how, const char *where) { printf("ESCAPED %s %s\n", how, where); }

static void make_out(void) {
    mkdir(out, 0755);
    char path[4096];
    snprintf(path, sizeof path, "%s/file", out);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || write(fd, "made\n", 5) != 5) exit(9);
    close(fd);
}

/* At most COUNT processes, each of which only waits. */
static void forks(int count) {
    int made = 0;
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            setsid();
            for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
            for (;;) pause();
        }
        made++;
    }
    printf("forked %d\n", made);
    make_out();
}

/* Goes on writing to the output after the builder has ended, with the
 * terminal closed and every signal ignored. */
static void daemonise(void) {
    make_out();
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        for (int fd = 0; fd < 3; fd++) close(fd);
        for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
        char path[4096], link[4096];
        snprintf(path, sizeof path, "%s/file", out);
        snprintf(link, sizeof link, "%s/link", out);
        int fd = open(path, O_WRONLY | O_APPEND);
        for (;;) {
            if (write(fd, "late", 4) < 0) continue;
            unlink(link);
            if (symlink("/etc", link) < 0 || unlink(link) < 0 || mkdir(link, 0777) < 0) continue;
            rmdir(link);
        }
    }
    usleep(50000);
    /* What it did so far is settled before the end. */
}

static void network(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (void *)&to, sizeof to) == 0) escaped("connect", "127.0.0.1");
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    to.sin_port = htons(53);
    to.sin_addr.s_addr = htonl(0x01010101);
    if (sendto(fd, "x", 1, 0, (void *)&to, sizeof to) == 1) escaped("sendto", "1.1.1.1");
    close(fd);
    fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (fd >= 0) escaped("socket", "raw");
    make_out();
}

/* Sends an open directory and a file to whoever listens on an abstract name. */
static void abstract_socket(const char *name) {
    make_out();
    int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_UNIX, types[i], 0);
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
        socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
        if (connect(fd, (void *)&to, length) == 0) {
            escaped("connect", "abstract socket");
            int handle = open(out, O_RDONLY | O_DIRECTORY);
            char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
            struct iovec data = {&byte, 1};
            struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &handle, sizeof handle);
            sendmsg(fd, &message, 0);
        }
        close(fd);
    }
}

#if defined __x86_64__
static long narrow(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result;
}
#endif

/* Every way to a setuid or setgid bit. `old` worlds let fchmodat2 through. */
static void setids(int old) {
    mkdir(out, 0755);
    if (chdir(out) < 0) exit(9);
    int fd = open("plain", O_WRONLY | O_CREAT, 0755);
    for (int bits = 02000; bits <= 06000; bits += 02000) {
        if (chmod("plain", bits | 0755) == 0) escaped("chmod", "plain");
        if (fchmod(fd, bits | 0755) == 0) escaped("fchmod", "plain");
        if (fchmodat(AT_FDCWD, "plain", bits | 0755, 0) == 0) escaped("fchmodat", "plain");
        if (syscall(452, AT_FDCWD, "plain", bits | 0755, 0) == 0 && !old) escaped("fchmodat2", "plain");
#if defined __x86_64__
        /* The stack of this program lies too high for 32 bits; a low page does not. */
        static const char name[] = "plain";
        if ((unsigned long)name < 0x80000000UL) {
            if (narrow(15, (long)name, bits | 0755, 0) == 0) escaped("chmod of i386", "plain");
            if (narrow(306, -100, (long)name, bits | 0755) == 0) escaped("fchmodat of i386", "plain");
        }
        if (narrow(94, fd, bits | 0755, 0) == 0) escaped("fchmod of i386", "plain");
        if (syscall(0x40000000 | 90, "plain", bits | 0755) == 0) escaped("chmod of x32", "plain");
#endif
    }
    umask(0);
    close(open("made-by-open", O_WRONLY | O_CREAT, 06755));
    close(creat("made-by-creat", 04755));
    mknod("made-by-mknod", S_IFREG | 06755, 0);
    mkdir("made-by-mkdir", 07755);
    struct { unsigned long long flags, mode, resolve; } how = {O_WRONLY | O_CREAT, 06755, 0};
    close(syscall(437, AT_FDCWD, "made-by-openat2", &how, sizeof how));
}

static void devices(void) {
    make_out();
    char path[4096];
    snprintf(path, sizeof path, "%s/device", out);
    mode_t kinds[] = {S_IFCHR, S_IFBLK};
    for (int i = 0; i < 2; i++)
        for (int major = 1; major < 260; major += 7)
            if (mknod(path, kinds[i] | 0666, (major << 8) | 1) == 0) {
                escaped("mknod", path);
                unlink(path);
            }
}

static void fifo(void) {
    make_out();
    char path[4096];
    snprintf(path, sizeof path, "%s/\x1b]0;a\nb\xe2\x80\xae\xff", out);
    if (mkfifo(path, 0644) < 0) exit(9);
}

static void sock(void) {
    make_out();
    if (chdir(out) < 0) exit(9);
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (void *)&at, sizeof at) < 0) exit(9);
}

/* Tries everything on one path that is not the builder's. */
static void damage(const char *path) {
    int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND};
    for (int i = 0; i < 4; i++) {
        int fd = open(path, flags[i] | O_NONBLOCK);
        if (fd >= 0) {
            escaped("open", path);
            close(fd);
        }
    }
    if (truncate(path, 0) == 0) escaped("truncate", path);
    if (chmod(path, 0777) == 0) escaped("chmod", path);
    if (chown(path, 1000, 100) == 0) escaped("chown", path);
    if (utimensat(AT_FDCWD, path, NULL, 0) == 0) escaped("utimensat", path);
    if (rename(path, "/build/stolen") == 0) escaped("rename", path);
    if (link(path, "/build/linked") == 0) escaped("link", path);
    if (unlink(path) == 0) escaped("unlink", path);
    char inner[4096];
    snprintf(inner, sizeof inner, "%s/new", path);
    int fd = open(inner, O_WRONLY | O_CREAT, 0644);
    if (fd >= 0) escaped("create", inner);
    if (mkdir(inner, 0755) == 0) escaped("mkdir", inner);
    fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 && openat(fd, "new", O_WRONLY | O_CREAT, 0644) >= 0) escaped("openat", path);
    fd = open(path, O_RDONLY);
    char through[64];
    snprintf(through, sizeof through, "/proc/self/fd/%d", fd);
    if (fd >= 0 && open(through, O_RDWR) >= 0) escaped("reopen", path);
    if (fd >= 0 && fchmod(fd, 0777) == 0) escaped("fchmod", path);
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) printf("no %s: %s\n", path, strerror(errno));
    if (fd >= 0) close(fd);
}

/* Becomes root of a namespace inside and tries again from there. */
static void nested(int count, char **paths) {
    make_out();
    if (fork() == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0) {
            printf("no nested namespaces: %s\n", strerror(errno));
            fflush(stdout);
            _exit(0);
        }
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", "0 1000 1");
        write_file("/proc/self/gid_map", "0 100 1");
        for (int i = 0; i < count; i++) {
            if (mount(NULL, paths[i], NULL, MS_REMOUNT | MS_BIND, NULL) == 0) printf("remounted %s\n", paths[i]);
            if (umount2(paths[i], MNT_DETACH) == 0) escaped("umount", paths[i]);
            damage(paths[i]);
            mkdir("/build/over", 0755);
            if (mount(paths[i], "/build/over", NULL, MS_BIND | MS_REC, NULL) == 0) {
                mount(NULL, "/build/over", NULL, MS_REMOUNT | MS_BIND, NULL);
                damage("/build/over");
                umount2("/build/over", MNT_DETACH);
            }
        }
        if (umount2("/", MNT_DETACH) == 0) printf("unmounted /\n");
        mkdir("/build/jail", 0755);
        int top = open("/", O_RDONLY | O_DIRECTORY);
        if (chroot("/build/jail") == 0 && fchdir(top) == 0) {
            for (int i = 0; i < 64; i++)
                if (chdir("..") < 0) break;
            if (access("build", F_OK) < 0) escaped("chroot", "above the root");
        }
        if (mknod("/build/null", S_IFCHR | 0666, 0x103) == 0) escaped("mknod", "nested");
        if (mount("none", "/build/jail", "devtmpfs", 0, NULL) == 0) escaped("mount", "devtmpfs");
        if (mount("none", "/build/jail", "debugfs", 0, NULL) == 0) escaped("mount", "debugfs");
        fflush(stdout);
        _exit(0);
    }
    while (wait(NULL) > 0) {}
}

static void proc_tricks(const char *secret) {
    make_out();
    const char *written[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe",
                             "/proc/sys/vm/drop_caches", "/proc/sys/fs/binfmt_misc/register", "/proc/sysrq-trigger",
                             "/proc/sys/user/max_user_namespaces", "/proc/sys/net/ipv4/ip_forward",
                             "/proc/kcore", "/proc/kmem", "/dev/mem", "/dev/sda", "/dev/vda"};
    for (unsigned i = 0; i < sizeof written / sizeof *written; i++)
        if (open(written[i], O_WRONLY) >= 0) escaped("open", written[i]);
    const char *links[] = {"/proc/1/root", "/proc/self/root", "/proc/self/cwd/..", "/proc/self/fd/0/..", "/proc/self/fd/1/..", "/proc/1/cwd/../..", "/.."};
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        char path[8192];
        snprintf(path, sizeof path, "%s%s", links[i], secret);
        if (access(path, F_OK) == 0) escaped("found", path);
        for (int up = 0; up < 20; up++) {
            memmove(path + strlen(links[i]) + 3, path + strlen(links[i]), strlen(path + strlen(links[i])) + 1);
            memcpy(path + strlen(links[i]), "/..", 3);
            if (access(path, F_OK) == 0) escaped("found", path);
        }
    }
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    int seen = 0;
    while ((entry = readdir(processes)) != NULL) {
        int pid = atoi(entry->d_name);
        if (pid <= 0) continue;
        seen++;
        if (pid != 1 && pid != getpid()) escaped("saw process", entry->d_name);
    }
    closedir(processes);
    if (seen > 2) escaped("saw", "processes");
    for (int pid = 2; pid < 5000; pid++) {
        if (pid == getpid()) continue;
        if (kill(pid, 0) == 0 || errno == EPERM) escaped("kill", "others");
        if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) escaped("ptrace", "others");
    }
    if (getppid() > 1) escaped("parent", "seen");
    kill(getppid() ? getppid() : 0x7fffffff, 0);
    if (ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0 && getppid() != 1) escaped("ptrace", "parent");
}

static void descriptors(void) {
    make_out();
    for (int fd = 3; fd < 4096; fd++) {
        if (fcntl(fd, F_GETFD) < 0) continue;
        char path[64], target[4096] = {0};
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) < 0) target[0] = '?';
        escaped("descriptor", target);
    }
}

static void terminal(void) {
    make_out();
    setsid();
    ioctl(1, TIOCSCTTY, 1);
    for (const char *c = "\necho ESCAPED through the terminal\n"; *c; c++) ioctl(1, TIOCSTI, c);
    int console = 0;
    if (ioctl(1, TIOCCONS, &console) == 0) escaped("ioctl", "TIOCCONS");
    int discipline = 2;
    ioctl(1, TIOCSETD, &discipline);
    int tty = open("/dev/tty", O_RDWR);
    if (tty >= 0)
        for (const char *c = "\nexit\n"; *c; c++) ioctl(tty, TIOCSTI, c);
    ioctl(1, TIOCEXCL);
}

static void attributes(void) {
    make_out();
    if (chdir(out) < 0) exit(9);
    if (setxattr("file", "user.x", "y", 1, 0) == 0) escaped("setxattr", "file");
    struct { unsigned long long value; unsigned size, flags; } how = {(unsigned long long)"y", 1, 0};
    /* setxattrat, which no world filters: what it sets has to go. */
    printf("setxattrat %ld\n", syscall(463, AT_FDCWD, "file", 0, "user.x", &how, sizeof how));
    static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 5, 0, 255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255};
    how.value = (unsigned long long)acl;
    how.size = sizeof acl;
    printf("acl %ld\n", syscall(463, AT_FDCWD, ".", 0, "system.posix_acl_default", &how, sizeof how));
}

/* Becomes another program in a new session keyring that holds a secret. */
static void with_session(char **command) {
    if (syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, NULL) >= 0)
        syscall(SYS_add_key, "user", "verify-hostile-secret", "secret-of-the-caller", 20, -3);
    execv(command[0], command);
    exit(9);
}

/* Whether the session keyring holds a key of that name: 0 if so, else 1. */
static int has_key(const char *name) { return syscall(SYS_keyctl, 10, -3, "user", name, 0) > 0 ? 0 : 1; }

/* Keys of the caller's session, and keys left behind. */
static void keys(void) {
    make_out();
    long key = syscall(SYS_keyctl, 10 /* SEARCH */, -3, "user", "verify-hostile-secret", 0);
    char content[64] = {0};
    if (key > 0 && syscall(SYS_keyctl, 11 /* READ */, key, content, sizeof content - 1) > 0) escaped("key", content);
    syscall(SYS_add_key, "user", "verify-hostile-left", "x", 1, -3);
}

static void deep(int levels) {
    mkdir(out, 0755);
    if (chdir(out) < 0) exit(9);
    for (int i = 1; i < levels; i++)
        if (mkdir("d", 0755) < 0 || chdir("d") < 0) exit(9);
}

static void many(int count) {
    mkdir(out, 0755);
    char path[4096];
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/build/file-%d", i);
        close(open(path, O_WRONLY | O_CREAT, 0));
        snprintf(path, sizeof path, "/tmp/a-rather-long-name-for-a-file-%d", i);
        close(open(path, O_WRONLY | O_CREAT, 0));
        if (i % 10) continue;
        snprintf(path, sizeof path, "%s/file-%d", out, i);
        close(open(path, O_WRONLY | O_CREAT, 0));
    }
}

static void names(void) {
    mkdir(out, 0755);
    if (chdir(out) < 0) exit(9);
    char name[256] = {0};
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/') continue;
        snprintf(name, sizeof name, "x%c", byte);
        close(open(name, O_WRONLY | O_CREAT, 0644));
    }
    memset(name, '\xff', 255);
    close(open(name, O_WRONLY | O_CREAT, 0644));
    char target[4095];
    memset(target, 'a', sizeof target - 1);
    target[sizeof target - 1] = 0;
    if (symlink(target, "long") < 0) exit(9);
}

/* Never stops making processes, each of which makes more. */
static void bomb(void) {
    make_out();
    for (;;)
        if (fork() < 0) usleep(1000);
}

/* Takes memory without end: as its own, or as files without a name. */
static void hog(const char *how) {
    make_out();
    enum { CHUNK = 1 << 20 };
    static char data[CHUNK];
    memset(data, 'x', sizeof data);
    int fd = -1;
    if (!strcmp(how, "memfd")) fd = syscall(319, "x", 0);
    for (;;) {
        if (fd >= 0) {
            if (write(fd, data, CHUNK) < 0) usleep(10000);
        } else {
            char *more = malloc(CHUNK);
            if (more) memcpy(more, data, CHUNK);
            else usleep(10000);
        }
        /* A gentle one: what is tested is the limit, not the machine. */
        usleep(500);
    }
}

/* Fills the disk: with one file, many, or one that has no name any more. */
static void fill(const char *how, const char *where) {
    make_out();
    enum { CHUNK = 1 << 20 };
    static char data[CHUNK];
    memset(data, 'x', sizeof data);
    char path[4096];
    int fd = -1;
    for (long i = 0;; i++) {
        if (fd < 0 || !strcmp(how, "many")) {
            if (fd >= 0) close(fd);
            snprintf(path, sizeof path, "%s/%ld", where, i);
            mkdir(path, 0700);
            snprintf(path, sizeof path, "%s/%ld/file", where, i);
            fd = open(path, O_WRONLY | O_CREAT, 0600);
            if (fd < 0) exit(9);
            if (!strcmp(how, "nameless")) unlink(path);
        }
        if (write(fd, data, !strcmp(how, "many") ? 65536 : CHUNK) < 0) usleep(10000);
        usleep(500);
    }
}

/* What a hardened builder must not be able to do, and what it must. */
static void hardened(void) {
    make_out();
    struct { const char *name; long number; } refused[] = {
        {"mount", SYS_mount}, {"umount2", SYS_umount2}, {"pivot_root", SYS_pivot_root}, {"unshare", SYS_unshare},
        {"setns", SYS_setns}, {"add_key", SYS_add_key}, {"keyctl", SYS_keyctl}, {"bpf", SYS_bpf},
        {"userfaultfd", SYS_userfaultfd}, {"perf_event_open", SYS_perf_event_open}, {"ptrace", SYS_ptrace},
        {"process_vm_readv", SYS_process_vm_readv}, {"process_vm_writev", SYS_process_vm_writev},
        {"kcmp", SYS_kcmp}, {"io_uring_setup", 425}, {"open_tree", 428}, {"move_mount", 429}, {"fsopen", 430},
        {"fspick", 433}, {"pidfd_getfd", 438}, {"mount_setattr", 442}, {"memfd_secret", 447}, {"setxattrat", 463},
        {"init_module", SYS_init_module}, {"kexec_load", SYS_kexec_load}, {"reboot", SYS_reboot},
    };
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++)
        if (syscall(refused[i].number, 0, 0, 0, 0, 0) != -1 || errno != EPERM) escaped("call", refused[i].name);
    if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) != -1 || errno != EPERM) escaped("clone", "NEWUSER");
    if (syscall(435, 0, 0) != -1 || errno != ENOSYS) escaped("call", "clone3");
    int families[] = {3, 17 /* PACKET */, 29 /* CAN */, 38 /* ALG */, 40 /* VSOCK */, 44 /* XDP */};
    for (unsigned i = 0; i < sizeof families / sizeof *families; i++)
        if (socket(families[i], SOCK_STREAM, 0) >= 0 || errno != EAFNOSUPPORT) escaped("socket", "family");
#if defined __x86_64__
    if (narrow(20 /* getpid */, 0, 0, 0) != -ENOSYS) escaped("call", "of i386");
    if (syscall(0x40000000 | 39) != -1 || errno != ENOSYS) escaped("call", "of x32");
#endif
    char limit[16] = {0};
    int fd = open("/proc/sys/user/max_user_namespaces", O_RDONLY);
    if (read(fd, limit, sizeof limit - 1) < 1 || strcmp(limit, "0\n")) escaped("namespaces", limit);
    if (open("/proc/sys/user/max_user_namespaces", O_WRONLY) >= 0) escaped("open", "max_user_namespaces");
    /* What builds live on. */
    int pair[2], status = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || socket(AF_INET, SOCK_DGRAM, 0) < 0) exit(8);
    pid_t child = fork();
    if (child == 0) execl("/proc/self/exe", "attacks", "nothing", (char *)NULL);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)) exit(7);
    char from[4096], to[4096];
    snprintf(from, sizeof from, "%s/file", out);
    snprintf(to, sizeof to, "%s/sub", out);
    if (mkdir(to, 0755) < 0 || link(from, "/build/linked") == 0) exit(6);
    snprintf(to, sizeof to, "%s/sub/file", out);
    if (rename(from, to) < 0 || link(to, from) < 0 || truncate(to, 3) < 0) exit(5);
    puts("worked");
}

/* CVE-2024-27297 once more, from a builder with the network of the host: the
 * handle arrives, and what is done with it must not matter. */
static void hand_over(const char *name) {
    int handle = open(out, O_RDWR | O_CREAT, 0644);
    if (handle < 0 || write(handle, "made\n", 5) != 5) exit(9);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path + 1, name, sizeof to.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    if (connect(fd, (void *)&to, length) < 0) {
        printf("not handed over: %s\n", strerror(errno));
        return;
    }
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &handle, sizeof handle);
    if (sendmsg(fd, &message, 0) != 1) exit(9);
    puts("handed over");
}

/* Directories as deep as the system lets them be, for whoever clears them. */
static void abyss(int levels) {
    const char *starts[] = {"/build", "/tmp"};
    for (int start = 0; start < 2; start++) {
        if (chdir(starts[start]) < 0) exit(9);
        for (int i = 0; i < levels; i++) {
            if (mkdir("d", 0755) < 0) break;
            symlink("/etc", "link");
            if (chdir("d") < 0) break;
        }
    }
    make_out();
}

/* Control groups: what a builder can do to its own, from a namespace. */
static void groups(void) {
    make_out();
    if (fork() == 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | 0x02000000 /* NEWCGROUP */) < 0) _exit(0);
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", "0 1000 1");
        write_file("/proc/self/gid_map", "0 100 1");
        mkdir("/build/group", 0755);
        if (mount("none", "/build/group", "cgroup2", 0, NULL) == 0) {
            if (open("/build/group/pids.max", O_WRONLY) >= 0) escaped("open", "pids.max");
            if (open("/build/group/memory.max", O_WRONLY) >= 0) escaped("open", "memory.max");
            if (access("/build/group/../pids.max", W_OK) == 0) escaped("above", "pids.max");
            if (open("/build/group/release_agent", O_WRONLY) >= 0) escaped("open", "release_agent");
        }
        if (mount("none", "/build/group", "cgroup", 0, "pids") == 0) {
            if (open("/build/group/release_agent", O_WRONLY) >= 0) escaped("open", "release_agent");
            if (open("/build/group/pids.max", O_WRONLY) >= 0) escaped("open", "pids.max");
            if (open("/build/group/tasks", O_WRONLY) >= 0) escaped("open", "tasks");
        }
        fflush(stdout);
        _exit(0);
    }
    while (wait(NULL) > 0) {}
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    const char *argument = argc > 2 ? argv[2] : "0";
    if (!strcmp(name, "with-session")) with_session(argv + 2);
    if (!strcmp(name, "has-key")) return has_key(argument);
    out = getenv("out");
    if (!out) exit(9);
    if (!strcmp(name, "forks")) forks(atoi(argument));
    else if (!strcmp(name, "daemon")) daemonise();
    else if (!strcmp(name, "network")) network(atoi(argument));
    else if (!strcmp(name, "abstract")) abstract_socket(argument);
    else if (!strcmp(name, "setids")) setids(atoi(argument));
    else if (!strcmp(name, "devices")) devices();
    else if (!strcmp(name, "fifo")) fifo();
    else if (!strcmp(name, "socket")) sock();
    else if (!strcmp(name, "damage")) {
        make_out();
        for (int i = 2; i < argc; i++) damage(argv[i]);
    } else if (!strcmp(name, "nested")) nested(argc - 2, argv + 2);
    else if (!strcmp(name, "proc")) proc_tricks(argument);
    else if (!strcmp(name, "descriptors")) descriptors();
    else if (!strcmp(name, "terminal")) terminal();
    else if (!strcmp(name, "attributes")) attributes();
    else if (!strcmp(name, "keys")) keys();
    else if (!strcmp(name, "deep")) deep(atoi(argument));
    else if (!strcmp(name, "many")) many(atoi(argument));
    else if (!strcmp(name, "names")) names();
    else if (!strcmp(name, "bomb")) bomb();
    else if (!strcmp(name, "hog")) hog(argument);
    else if (!strcmp(name, "fill")) fill(argument, argc > 3 ? argv[3] : "/build");
    else if (!strcmp(name, "hardened")) hardened();
    else if (!strcmp(name, "hand-over")) hand_over(argument);
    else if (!strcmp(name, "abyss")) abyss(atoi(argument));
    else if (!strcmp(name, "groups")) groups();
    else if (!strcmp(name, "nothing")) return 0;
    else exit(9);
    fflush(stdout);
    return 0;
}
