/* node/cmd_doctor.c - moldau config doctor: is this machine fit for a node with these settings?
 *
 * Each check reads what the kernel says, judges it, and says what to do. Where a check cannot be
 * made (a container hides the file) it says so and is not counted against the machine. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "cli/output.h"
#include "meta/config_def.h"
#include "node/cmd_profile.h"
#include "node/config.h"

enum {
    TEXT_MAX = 64 << 10,
    PATH_SIZE = 1024,
    FOUND_SIZE = 300,
    FIELD_SIZE = 300,
    PROBLEMS_MAX = 1 << 20,
    FILES_LEAST = 4096,
    FILES_GOOD = 65536,
    BACKLOG_GOOD = 1024,
    SWAPPINESS_GOOD = 10,
    MEMORY_LEAST_KIB = 256 << 10,
    FREE_LEAST_PERCENT = 5,
    FREE_GOOD_PERCENT = 15,
};

enum verdict { OK, WARN, FAIL, UNKNOWN };

struct doctor {
    struct cli *cli;
    struct env *env;
    const char *root; /* "" or where the kernel's files were copied to */
    struct output out;
    int counts[UNKNOWN + 1];
};

static void
say(struct doctor *doctor, const char *check, enum verdict verdict, const char *found,
    const char *advice)
{
    static const char *const names[] = {"ok", "warn", "fail", "unknown"};
    doctor->counts[verdict]++;
    output_z(&doctor->out, check);
    output_z(&doctor->out, names[verdict]);
    output_z(&doctor->out, found);
    output_str(&doctor->out, verdict == OK || verdict == UNKNOWN ? STR_NULL : str_of(advice));
}

/* ---- reading ---- */

/* A file of the kernel, whose size is not known before; false when it cannot be read. */
static bool
read_text(struct doctor *doctor, const char *path, char *out, size_t size)
{
    char full[PATH_SIZE];
    struct env_file *file = NULL;
    size_t n = 0;
    snprintf(full, sizeof full, "%s%s", doctor->root, path);
    if (env_open(doctor->env, full, ENV_OPEN_READ, &file) != ERR_OK)
        return false;
    enum err err = env_read_at(file, 0, out, size - 1, &n);
    env_file_close(&file);
    out[err == ERR_OK ? n : 0] = '\0';
    if (err == ERR_OK && n > 0 && out[n - 1] == '\n')
        out[n - 1] = '\0';
    return err == ERR_OK;
}

static bool
read_number(struct doctor *doctor, const char *path, int64_t *out)
{
    char text[64];
    return read_text(doctor, path, text, sizeof text) && cli_number_parse(text, 0, INT64_MAX, out);
}

/* The number after a name in a table such as /proc/meminfo; "unlimited" is the largest. */
static bool
find_number(const char *text, const char *name, int skip, int64_t *out)
{
    const char *at = strstr(text, name);
    if (at == NULL)
        return false;
    at += strlen(name);
    for (int i = 0; i <= skip; i++) {
        at += strspn(at, " \t");
        if (i < skip)
            at += strcspn(at, " \t\n");
    }
    *out = strncmp(at, "unlimited", 9) == 0 ? INT64_MAX : strtoll(at, NULL, 10);
    return *at != '\0' && *at != '\n';
}

static void
unreadable(struct doctor *doctor, const char *check, const char *path)
{
    char found[FOUND_SIZE];
    snprintf(found, sizeof found, "%s cannot be read here", path);
    say(doctor, check, UNKNOWN, found, "");
}

/* A number of the kernel that should be at least (or at most) so much. */
struct bound {
    const char *check, *path;
    int64_t good;
    bool at_most;
    const char *advice;
};

static void
check_bound(struct doctor *doctor, const struct bound *bound)
{
    char found[FOUND_SIZE];
    int64_t value;
    if (!read_number(doctor, bound->path, &value)) {
        unreadable(doctor, bound->check, bound->path);
        return;
    }
    bool good = bound->at_most ? value <= bound->good : value >= bound->good;
    snprintf(found, sizeof found, "%lld", (long long)value);
    say(doctor, bound->check, good ? OK : WARN, found, bound->advice);
}

/* ---- limits and memory ---- */

static void
check_open_files(struct doctor *doctor)
{
    char text[8192], found[FOUND_SIZE];
    int64_t hard;
    if (!read_text(doctor, "/proc/self/limits", text, sizeof text) ||
        !find_number(text, "Max open files", 1, &hard)) {
        unreadable(doctor, "open files", "/proc/self/limits");
        return;
    }
    snprintf(found, sizeof found, hard == INT64_MAX ? "unlimited" : "at most %lld a process",
        (long long)hard);
    say(doctor, "open files",
        hard < FILES_LEAST  ? FAIL
        : hard < FILES_GOOD ? WARN
                            : OK,
        found,
        "raise the hard limit to 1000000: LimitNOFILE= of the systemd unit, nofile in "
        "/etc/security/limits.conf, --ulimit nofile= of a container; each connection takes one, "
        "each partition in use two or three");
}

static void
check_memory(struct doctor *doctor)
{
    char text[8192], swaps[4096], found[FOUND_SIZE];
    int64_t available, swappiness;
    if (read_text(doctor, "/proc/meminfo", text, sizeof text) &&
        find_number(text, "MemAvailable:", 0, &available)) {
        snprintf(found, sizeof found, "%lld MiB", (long long)available / 1024);
        say(doctor, "free memory", available < MEMORY_LEAST_KIB ? WARN : OK, found,
            "records are read from the page cache: what other programs hold is missing there");
    } else {
        unreadable(doctor, "free memory", "/proc/meminfo");
    }
    bool swaps_known = read_text(doctor, "/proc/swaps", swaps, sizeof swaps);
    if (!swaps_known || !read_number(doctor, "/proc/sys/vm/swappiness", &swappiness)) {
        unreadable(doctor, "swapping", "/proc/sys/vm/swappiness");
        return;
    }
    bool on = strchr(swaps, '\n') != NULL;
    snprintf(found, sizeof found, on ? "swap is on, vm.swappiness is %lld" : "no swap",
        (long long)swappiness);
    say(doctor, "swapping", on && swappiness > SWAPPINESS_GOOD ? WARN : OK, found,
        "sysctl vm.swappiness=1, or no swap: a node that is swapped in answers late");
}

static void
check_huge_pages(struct doctor *doctor)
{
    static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
    char text[200];
    if (!read_text(doctor, path, text, sizeof text)) {
        unreadable(doctor, "transparent huge pages", path);
        return;
    }
    say(doctor, "transparent huge pages", strstr(text, "[always]") != NULL ? WARN : OK, text,
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: with always, memory that was "
        "freed stays with the process and compaction stalls it");
}

/* ---- clocks ---- */

static void
check_clocks(struct doctor *doctor)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char source[100];
    if (read_text(doctor, path, source, sizeof source)) {
        bool slow = strcmp(source, "hpet") == 0 || strcmp(source, "acpi_pm") == 0 ||
                    strcmp(source, "jiffies") == 0 || strcmp(source, "xen") == 0;
        say(doctor, "clock source", slow ? WARN : OK, source,
            "boot with clocksource=tsc (or the hypervisor's own clock): with this one each look "
            "at the time is a system call");
    } else {
        unreadable(doctor, "clock source", path);
    }
    int state = doctor->root[0] != '\0' ? -1 : env_real_clock_synchronized();
    if (state < 0)
        say(doctor, "clock", UNKNOWN, "the kernel does not say whether it is synchronized", "");
    else
        say(doctor, "clock", state == 0 ? WARN : OK,
            state == 0 ? "not synchronized" : "synchronized",
            "run chrony or systemd-timesyncd: timestamps of records and retention follow this "
            "clock (in a container: the host's)");
}

/* ---- directories ---- */

struct mount {
    char point[FIELD_SIZE], options[FIELD_SIZE], type[64], super_options[FIELD_SIZE];
    int device_major, device_minor;
};

/* The line of /proc/self/mountinfo whose mount point is the longest that holds the directory. */
static bool
find_mount(char *table, const char *dir, struct mount *out)
{
    size_t best = 0;
    bool found = false;
    char *rest = table, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        struct mount m;
        const char *after = strstr(line, " - ");
        if (after == NULL ||
            sscanf(line, "%*d %*d %d:%d %*s %299s %299s", &m.device_major, &m.device_minor, m.point,
                m.options) != 4 ||
            sscanf(after + 3, "%63s %*s %299s", m.type, m.super_options) != 2)
            continue;
        size_t len = strcmp(m.point, "/") == 0 ? 0 : strlen(m.point);
        bool holds = strncmp(dir, m.point, len) == 0 && (dir[len] == '/' || dir[len] == '\0');
        if (holds && (!found || len >= best)) {
            *out = m;
            best = len;
            found = true;
        }
    }
    return found;
}

static bool
is_one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strncmp(text, *list, strlen(*list)) == 0)
            return true;
    return false;
}

/* Whether a comma-separated list of mount options has one of these. */
static bool
has_option(const struct mount *mount, const char *option)
{
    const char *const lists[] = {mount->options, mount->super_options};
    size_t len = strlen(option);
    for (int i = 0; i < 2; i++)
        for (const char *at = lists[i]; (at = strstr(at, option)) != NULL; at += len)
            if ((at == lists[i] || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
                return true;
    return false;
}

static void
check_file_system(struct doctor *doctor, const char *dir, const struct mount *mount)
{
    static const char *const good[] = {"ext4", "xfs", "btrfs", "zfs", NULL};
    static const char *const lost[] = {"tmpfs", "ramfs", "overlay", "aufs", NULL};
    static const char *const remote[] = {"nfs", "cifs", "smb", "9p", "fuse", "ceph", NULL};
    char check[PATH_SIZE], found[FOUND_SIZE];
    snprintf(check, sizeof check, "file system of %.900s", dir);
    snprintf(found, sizeof found, "%.40s on %.200s", mount->type, mount->point);
    if (is_one_of(mount->type, remote))
        say(doctor, check, FAIL, found,
            "use a disk of this machine: locks and flushes of network file systems do not keep "
            "what they promise");
    else if (is_one_of(mount->type, lost))
        say(doctor, check, WARN, found,
            "mount a volume there: this is gone with the container or the next boot");
    else
        say(doctor, check, is_one_of(mount->type, good) ? OK : WARN, found,
            "ext4 and xfs are what is tested");
    snprintf(check, sizeof check, "mount of %.900s", dir);
    snprintf(found, sizeof found, "%.140s %.140s", mount->options, mount->super_options);
    if (has_option(mount, "ro"))
        say(doctor, check, FAIL, found, "it is mounted read-only");
    else if (has_option(mount, "nobarrier") || has_option(mount, "barrier=0"))
        say(doctor, check, FAIL, found,
            "mount it with barriers: without them a power cut loses what was flushed");
    else if (has_option(mount, "data=writeback") || has_option(mount, "strictatime"))
        say(doctor, check, WARN, found,
            "mount it with data=ordered and relatime or noatime (the defaults)");
    else
        say(doctor, check, OK, found, "");
}

static void
check_space(struct doctor *doctor, const char *dir, const char *existing)
{
    char check[PATH_SIZE], found[FOUND_SIZE];
    int64_t total, usable;
    snprintf(check, sizeof check, "space in %.900s", dir);
    if (doctor->root[0] != '\0' ||
        env_disk_space(doctor->env, existing, &total, &usable) != ERR_OK || total <= 0) {
        say(doctor, check, UNKNOWN, "not known", "");
        return;
    }
    int percent = (int)(usable / (total / 100 + 1));
    snprintf(found, sizeof found, "%lld of %lld MiB are free (%d %%)", (long long)usable >> 20,
        (long long)total >> 20, percent);
    say(doctor, check,
        percent < FREE_LEAST_PERCENT  ? FAIL
        : percent < FREE_GOOD_PERCENT ? WARN
                                      : OK,
        found, "a full disk takes the directory offline: shorten retention or give it more room");
}

static void
check_disk(struct doctor *doctor, const char *dir, const struct mount *mount)
{
    char check[PATH_SIZE], path[PATH_SIZE], cache[64], uevent[4096];
    char found[FOUND_SIZE];
    int64_t rotational = 0;
    snprintf(check, sizeof check, "disk of %.900s", dir);
    /* A partition has no queue of its own: its disk is the directory above. */
    snprintf(path, sizeof path, "/sys/dev/block/%d:%d/queue/write_cache", mount->device_major,
        mount->device_minor);
    bool whole = read_text(doctor, path, cache, sizeof cache);
    if (!whole) {
        snprintf(path, sizeof path, "/sys/dev/block/%d:%d/../queue/write_cache",
            mount->device_major, mount->device_minor);
        if (!read_text(doctor, path, cache, sizeof cache)) {
            say(doctor, check, UNKNOWN, "no disk of its own to ask", "");
            return;
        }
    }
    snprintf(path, sizeof path, "/sys/dev/block/%d:%d%s/queue/rotational", mount->device_major,
        mount->device_minor, whole ? "" : "/..");
    (void)read_number(doctor, path, &rotational);
    snprintf(
        path, sizeof path, "/sys/dev/block/%d:%d/uevent", mount->device_major, mount->device_minor);
    /* Disks of virtual machines call themselves rotating, whatever they are. */
    bool virtual = read_text(doctor, path, uevent, sizeof uevent) &&
                   (strstr(uevent, "DEVNAME=vd") != NULL || strstr(uevent, "DEVNAME=xvd") != NULL);
    snprintf(found, sizeof found, "%s, write cache: %s",
        virtual      ? "virtual"
        : rotational ? "rotating"
                     : "not rotating",
        cache);
    say(doctor, check, rotational && !virtual ? WARN : OK, found,
        "a rotating disk flushes about a hundred times a second: expect acks=all to wait for it, "
        "or use a controller with a battery");
}

/* The path as it will be: absolute, and the part of it that is there already. */
static void
check_dir(struct doctor *doctor, struct str name)
{
    char dir[PATH_SIZE], existing[PATH_SIZE], here[PATH_SIZE / 2] = "", *table;
    struct mount mount;
    struct env_stat st;
    if (name.data[0] != '/' && getcwd(here, sizeof here) == NULL)
        here[0] = '\0';
    snprintf(dir, sizeof dir, "%s%s%.*s", here, here[0] != '\0' ? "/" : "", STR_FMT(name));
    snprintf(existing, sizeof existing, "%s", dir);
    while (env_stat(doctor->env, existing, &st) != ERR_OK && strrchr(existing, '/') != existing)
        *strrchr(existing, '/') = '\0';
    table = arena_alloc(&doctor->cli->arena, TEXT_MAX);
    if (table == NULL || !read_text(doctor, "/proc/self/mountinfo", table, TEXT_MAX) ||
        !find_mount(table, dir, &mount)) {
        unreadable(doctor, "file system", "/proc/self/mountinfo");
        return;
    }
    check_file_system(doctor, dir, &mount);
    check_space(doctor, dir, existing);
    check_disk(doctor, dir, &mount);
}

/* ---- settings ---- */

/* The configuration as the server would load it; problems are a finding. */
static void
check_config(struct doctor *doctor, struct node_config **config)
{
    struct node_config_opts opts = {
        .path = doctor->cli->arg_count > 0 ? doctor->cli->args[0] : NULL, .environment = environ};
    struct buf problems;
    buf_init(&problems, PROBLEMS_MAX);
    enum err err = node_config_load(doctor->env, &opts, &problems, config);
    while (problems.len > 0 && problems.data[problems.len - 1] == '\n')
        problems.len--;
    say(doctor, "settings",
        err != ERR_OK      ? FAIL
        : problems.len > 0 ? WARN
                           : OK,
        problems.len > 0    ? buf_z(&problems)
        : opts.path != NULL ? opts.path
                            : "defaults",
        "correct them: docs/reference/configuration.md lists every key");
    buf_fini(&problems);
}

static void
check_all(struct doctor *doctor, const struct node_config *config)
{
    static const struct bound bounds[] = {
        {"all open files", "/proc/sys/fs/file-max", 1 << 18, false, "sysctl fs.file-max=1000000"},
        {"listen backlog", "/proc/sys/net/core/somaxconn", BACKLOG_GOOD, false,
            "sysctl net.core.somaxconn=4096: clients that reconnect together are refused beyond "
            "it"},
        {"memory maps", "/proc/sys/vm/max_map_count", 65530, false,
            "sysctl vm.max_map_count=262144 (little is mapped, but each thread takes two)"},
        {"overcommit", "/proc/sys/vm/overcommit_memory", 1, true,
            "sysctl vm.overcommit_memory=0: with 2, memory that is reserved and not used counts"},
    };
    struct str dirs = config == NULL ? STR_NULL : node_config_str(config, "log.dirs");
    struct str one;
    check_open_files(doctor);
    for (size_t i = 0; i < COUNT_OF(bounds); i++)
        check_bound(doctor, &bounds[i]);
    check_memory(doctor);
    check_huge_pages(doctor);
    check_clocks(doctor);
    if (dirs.len == 0 && config != NULL && node_config_is_set(config, "log.dir"))
        dirs = node_config_str(config, "log.dir");
    if (dirs.len == 0)
        dirs = STR("./moldau-data");
    while (config_list_next(&dirs, &one))
        check_dir(doctor, one);
}

static int
run_doctor(struct cli *cli)
{
    static const char *const columns[] = {"check", "verdict", "found", "advice"};
    const char *root = cli_value(cli, "root");
    struct node_config *config = NULL;
    struct doctor doctor = {.cli = cli, .env = cli_env(cli), .root = root != NULL ? root : ""};
    if (doctor.env == NULL)
        return CLI_FAILED;
    output_begin(&doctor.out, cli->format, columns, COUNT_OF(columns));
    check_config(&doctor, &config);
    check_all(&doctor, config);
    node_config_free(&config);
    int code = output_end(&doctor.out);
    if (code != CLI_OK)
        return code;
    return doctor.counts[FAIL] > 0 ? CLI_UNHEALTHY : CLI_OK;
}

const struct cli_command node_cmd_doctor = {
    .name = "config doctor",
    .arguments = "[FILE]",
    .summary = "whether this machine is fit for a node: limits, disks, clocks, memory",
    .text = "Reads FILE (a server.properties) and MOLDAU_ variables as the server would, looks at "
            "the kernel's limits and at the directories that hold the data, and says of each "
            "finding what to do. Changes nothing. What a container hides is unknown. Run it as the "
            "user that runs the server, since limits are that user's.",
    .options =
        (const struct cli_option[]){
            {"root", 0, "DIR", "judge the copy of another machine's /proc and /sys in there"},
            {NULL, 0, NULL, NULL}},
    .arguments_min = 0,
    .arguments_max = 1,
    .unhealthy = "a finding is a failure",
    .examples = "  moldau config doctor /etc/moldau/server.properties\n"
                "  moldau config doctor -o json | jq '.[] | select(.verdict != \"ok\")'\n",
    .run = run_doctor,
};
