/* SPDX-License-Identifier: MIT */
/* Two keys: the newest seals and opens, the one before it only opens. They turn when somebody comes after their time, for
 * nothing is sealed in between:
 *
 *     newest   [ seals ............ ][ opens ............ ] wiped
 *     next                           [ seals ............ ][ opens ...
 *              TLS_SESSION_S          TLS_SESSION_S
 */
#include "tls_tickets.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LIFE_NS (TLS_SESSION_S * NS_PER_S)

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
    atomic_uint references;
    pthread_mutex_t lock; /* of what follows; held for some copying, once a handshake */
    struct ticket_key newest, last;
    int64_t born_ns; /* the newest, monotonic */
};

struct tls_tickets *tls_tickets_new(void) {
    struct tls_tickets *tickets = calloc(1, sizeof(*tickets));
    if (!tickets)
        return NULL;
    atomic_init(&tickets->references, 1);
    pthread_mutex_init(&tickets->lock, NULL);
    random_bytes(&tickets->newest, sizeof(tickets->newest));
    random_bytes(&tickets->last,
                 sizeof(tickets->last)); /* opens nothing, but is no key that others know */
    tickets->born_ns = clock_now().mono_ns;
    return tickets;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *tickets) {
    atomic_fetch_add_explicit(&tickets->references, 1, memory_order_relaxed);
    return tickets;
}

void tls_tickets_unref(struct tls_tickets *tickets) {
    if (!tickets || atomic_fetch_sub_explicit(&tickets->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    bytes_wipe(tickets, sizeof(*tickets));
    free(tickets);
}

static void turn(struct tls_tickets *tickets, int64_t now_ns) {
    int64_t age_ns = now_ns - tickets->born_ns;
    if (age_ns < LIFE_NS)
        return;
    tickets->last = tickets->newest;
    random_bytes(&tickets->newest, sizeof(tickets->newest));
    if (age_ns >= 2 * LIFE_NS) /* nobody came for long */
        random_bytes(&tickets->last, sizeof(tickets->last));
    tickets->born_ns = now_ns;
}

enum found { NOT_FOUND, FOUND_LAST, FOUND_NEWEST };

/* Which key: the newest (name NULL), or the one of this name. */
static enum found find(struct tls_tickets *tickets, const unsigned char *name,
                       struct ticket_key *key) {
    enum found found = NOT_FOUND;
    pthread_mutex_lock(&tickets->lock);
    turn(tickets, clock_now().mono_ns);
    if (!name || memcmp(name, tickets->newest.name, sizeof(key->name)) == 0)
        found = FOUND_NEWEST;
    else if (memcmp(name, tickets->last.name, sizeof(key->name)) == 0)
        found = FOUND_LAST;
    if (found != NOT_FOUND)
        *key = found == FOUND_NEWEST ? tickets->newest : tickets->last;
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool use_key(struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int seals) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seals) == 1 &&
           EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* SSL_CTX_set_tlsext_ticket_key_cb(3): 1: go on; 2: go on, and renew the ticket; 0: no such key, shake hands in full; -1: failed. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int seals) {
    struct tls_tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct ticket_key key;
    enum found found = find(tickets, seals ? NULL : name, &key);
    if (found == NOT_FOUND)
        return 0;
    if (seals) {
        memcpy(name, key.name, sizeof(key.name));
        random_bytes(iv, EVP_MAX_IV_LENGTH);
    }
    bool is_good = use_key(&key, iv, cipher, mac, seals);
    bytes_wipe(&key, sizeof(key));
    if (!is_good)
        return -1;
    return found == FOUND_NEWEST ? 1 : 2;
}

void tls_tickets_use(struct tls_tickets *tickets, SSL_CTX *ctx) {
    static const unsigned char id[] = "jotgate";
    SSL_CTX_set_app_data(ctx, tickets);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(ctx, TLS_SESSION_S);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
