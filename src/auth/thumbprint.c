/* SPDX-License-Identifier: MIT */
/* A key's name that follows from the key. */
#include "thumbprint.h"

#include "signature.h"
#include <errno.h>

static int put_member(struct buffer *out, const char *name, struct str bytes) {
    char *room;
    TRY(buffer_printf(out, "\"%s\":\"", name));
    TRY(buffer_reserve(out, BASE64URL_ENCODED_MAX(bytes.n), &room));
    buffer_commit(out, base64url_encode(bytes, room));
    return buffer_append(out, STR("\""));
}

/* RFC 7638 3.2: the required members of each type, in lexicographic order, no white space. */
int thumbprint_put_open(struct buffer *out, const struct key_material *m) {
    TRY(buffer_append(out, STR("{")));
    switch (m->kind) {
    case MATERIAL_RSA:
        TRY(put_member(out, "e", m->e));
        TRY(buffer_append(out, STR(",\"kty\":\"RSA\",")));
        return put_member(out, "n", m->n);
    case MATERIAL_EC:
        TRY(buffer_printf(out, "\"crv\":\"%s\",\"kty\":\"EC\",", curve_name(m->curve)));
        TRY(put_member(out, "x", m->x));
        TRY(buffer_append(out, STR(",")));
        return put_member(out, "y", m->y);
    case MATERIAL_OKP:
        TRY(buffer_printf(out, "\"crv\":\"%s\",\"kty\":\"OKP\",", curve_name(m->curve)));
        return put_member(out, "x", m->x);
    case MATERIAL_OCT:
        TRY(put_member(out, "k", m->k));
        return buffer_append(out, STR(",\"kty\":\"oct\""));
    }
    return -EINVAL;
}

int thumbprint_of(const struct key_material *m, unsigned char print[THUMBPRINT_BYTES]) {
    struct buffer text = {0};
    int failed = thumbprint_put_open(&text, m);
    if (!failed)
        failed = buffer_append(&text, STR("}"));
    if (!failed && !sha256(buffer_bytes(&text), print))
        failed = -EIO;
    if (text.at)
        bytes_wipe(text.at, text.size);
    buffer_release(&text);
    return failed;
}

size_t thumbprint_text(const unsigned char print[THUMBPRINT_BYTES], char text[THUMBPRINT_TEXT]) {
    return base64url_encode((struct str){(const char *)print, THUMBPRINT_BYTES}, text);
}
