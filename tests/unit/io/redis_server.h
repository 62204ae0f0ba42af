/* SPDX-License-Identifier: MIT */
#pragma once
/* A real redis-server in a folder of its own, on a free port of loopback and a unix socket. */
#include "redis_rig.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct server {
    pid_t pid;
    uint16_t port;
    char folder[64];
};

/* A free port below those that the kernel gives to clients and those that the stories take; another
 * test's process begins elsewhere. */
__attribute__((unused)) static uint16_t free_port(void) {
    static unsigned n_taken;
    struct endpoint at;
    for (;;) {
        char text[32];
        unsigned port = 5000 + ((unsigned)getpid() * 37 + n_taken++) % 5000;
        snprintf(text, sizeof(text), "127.0.0.1:%u", port);
        ck_assert(endpoint_parse(str_of(text), &at));
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_free = bind(fd, (const void *)&at.address, at.length) == 0;
        close(fd);
        if (is_free)
            return (uint16_t)port;
    }
}

__attribute__((unused)) static void server_folder(struct server *server) {
    snprintf(server->folder, sizeof(server->folder), "/tmp/jg-redis-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(server->folder));
}

/* `options` as on the command line, apart by spaces. */
__attribute__((unused)) static void server_spawn(struct server *server, const char *options) {
    char command[1500], *arguments[64];
    size_t n = 0;
    if (!server->folder[0])
        server_folder(server);
    int length =
        snprintf(command, sizeof(command), "redis-server %s --dir %s", options, server->folder);
    ck_assert_int_lt(length, (int)sizeof(command));
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid > 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0);
    dup2(nothing, 1);
    dup2(nothing, 2);
    for (char *at = command; *at && n < 63;) {
        arguments[n++] = at;
        at += strcspn(at, " ");
        if (*at)
            *at++ = '\0';
        while (*at == ' ')
            at++;
    }
    arguments[n] = NULL;
    execvp(arguments[0], arguments);
    _exit(127);
}

__attribute__((unused)) static void server_start(struct server *server, const char *options) {
    char all[1200];
    if (!server->folder[0])
        server_folder(server);
    if (!server->port)
        server->port = free_port();
    snprintf(all, sizeof(all),
             "--bind 127.0.0.1 --port %u --unixsocket %s/redis.sock --save  --appendonly no %s",
             server->port, server->folder, options);
    server_spawn(server, all);
}

__attribute__((unused)) static void server_kill(struct server *server) {
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
}

__attribute__((unused)) static void server_stop(struct server *server) {
    server_kill(server);
    DIR *folder = opendir(server->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", server->folder, entry->d_name);
        unlink(path);
    }
    if (folder)
        closedir(folder);
    rmdir(server->folder);
}

__attribute__((unused)) static void server_freeze(const struct server *server) {
    kill(server->pid, SIGSTOP);
    waitpid(server->pid, NULL, WUNTRACED);
}
__attribute__((unused)) static void server_thaw(const struct server *server) {
    kill(server->pid, SIGCONT);
}

/* A server of one's own, and a client that reaches it. */
__attribute__((unused)) static void serve(struct server *server, struct client *client,
                                          int64_t timeout_ns) {
    char url[64];
    server_start(server, "");
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server->port);
    client_open(client, url, NULL, timeout_ns);
    RUN_UNTIL(client->loop, IS_UP(client));
}
