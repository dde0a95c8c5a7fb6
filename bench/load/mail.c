#include "bench/load/mail.h"

#include <string.h>

#include "bench/load/die.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

/* @N is a place for N digits of the number, @2 the number modulo 100 (senders). */
static const char headers[] = "Return-Path: <bounce-@9@lists.sender@2.example>\r\n"
                              "Received: from relay7.sender@2.example (relay7.sender@2.example [192.0.2.17])\r\n"
                              "\tby mx1.example.test (Postfix) with ESMTPS id 4Zq@9\r\n"
                              "\tfor <user@example.test>; Tue, 14 May 2024 09:41:22 +0200 (CEST)\r\n"
                              "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=k1;\r\n"
                              "\th=from:to:subject:date:message-id:mime-version:content-type;\r\n"
                              "\tbh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                              "\tb=mLxQ1zVnq0y8JmY0j4kD2fQpB7sVtW3uXcZaEgHiKlNoRrSsTtUuVvWwXxYyZz012345678\r\n"
                              "\t 9AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefgh==\r\n"
                              "From: \"Sender Number @2\" <news@sender@2.example>\r\n"
                              "To: \"A. Recipient\" <user@example.test>, second.reader@example.test\r\n"
                              "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= and the report number @9 of the week\r\n"
                              "Date: Tue, 14 May 2024 09:41:20 +0200\r\n"
                              "Message-ID: <20240514.@9.load@sender@2.example>\r\n"
                              "In-Reply-To: <20240513.1@example.test>\r\n"
                              "References: <20240512.1@example.test> <20240513.1@example.test>\r\n"
                              "List-Unsubscribe: <https://lists.sender.example/u/8d7f6a5b>\r\n"
                              "X-Mailer: Load 1.0\r\n"
                              "MIME-Version: 1.0\r\n"
                              "Content-Type: multipart/alternative; boundary=\"=_part_7f3a9c\"\r\n"
                              "\r\n"
                              "This is a message in MIME format.\r\n"
                              "\r\n"
                              "--=_part_7f3a9c\r\n"
                              "Content-Type: text/plain; charset=utf-8\r\n"
                              "Content-Transfer-Encoding: quoted-printable\r\n"
                              "\r\n"
                              "Report @9, in plain text.\r\n";

static const char html[] = "--=_part_7f3a9c\r\n"
                           "Content-Type: text/html; charset=utf-8\r\n"
                           "Content-Transfer-Encoding: quoted-printable\r\n"
                           "\r\n"
                           "<p>Report @9, in HTML.</p>\r\n";

static const char end[] = "--=_part_7f3a9c--\r\n";

struct writer {
    struct mail *m;
    size_t n;
};

static void put(struct writer *w, const char *p, size_t n)
{
    if (w->n + n > w->m->size_bytes) {
        die("a message of %zu bytes has no room for its parts", w->m->size_bytes);
    }
    memcpy(w->m->bytes + w->n, p, n);
    w->n += n;
}

static void put_template(struct writer *w, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p != '@' || p[1] < '1' || p[1] > '9') {
            put(w, p, 1);
            continue;
        }
        unsigned digits = (unsigned)(*++p - '0');
        struct mail *m = w->m;
        if (m->patches_n == MAIL_PATCHES_MAX) {
            die("too many counters in the message");
        }
        m->patches[m->patches_n++] =
            (struct mail_patch){.at = w->n, .digits = digits, .modulus = digits == 2 ? 100 : 1000000000};
        put(w, "000000000", digits);
    }
}

/* Words up to the offset `until`, in lines of at most 72 bytes that end with CRLF exactly there. */
static void put_text(struct writer *w, size_t until, struct rng *rng)
{
    static const char letters[] = "etaoinshrdlucmfwypvbgkqjxz";
    size_t column = 0;
    while (w->n < until) {
        size_t left = until - w->n;
        if (left == 2 || (column >= 64 && left > 8)) {
            put(w, "\r\n", 2);
            column = 0;
            continue;
        }
        char c = letters[rng_below(rng, rng_below(rng, 26) + 1)];
        if (column % 7 == 6) {
            c = ' ';
        }
        put(w, &c, 1);
        column++;
    }
}

void mail_init(struct mail *m, size_t size_bytes, uint64_t seed)
{
    struct rng rng;
    struct writer w = {.m = m};
    if (size_bytes < MAIL_BYTES_MIN) {
        die("a message has at least %d bytes", MAIL_BYTES_MIN);
    }
    rng_seeded_init(&rng, seed);
    m->bytes = mem_alloc(size_bytes + 3);
    m->size_bytes = size_bytes;
    m->patches_n = 0;
    if (m->bytes == NULL) {
        die("no memory for messages");
    }
    put_template(&w, headers);
    put_text(&w, w.n + (size_bytes - w.n) / 3, &rng);
    put_template(&w, html);
    put_text(&w, size_bytes - strlen(end), &rng);
    put(&w, end, strlen(end));
    memcpy(m->bytes + size_bytes, ".\r\n", 3);
}

void mail_fini(struct mail *m)
{
    mem_free(m->bytes);
    m->bytes = NULL;
}

void mail_vary(struct mail *m, uint64_t number)
{
    for (size_t i = 0; i < m->patches_n; i++) {
        uint64_t v = number % m->patches[i].modulus;
        for (unsigned d = m->patches[i].digits; d > 0; d--) {
            m->bytes[m->patches[i].at + d - 1] = (char)('0' + v % 10);
            v /= 10;
        }
    }
}
