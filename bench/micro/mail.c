#include "bench/micro/mail.h"

#include "bench/micro/micro.h"
#include "proto/message/message.h"

#define PLAIN_BYTES 4096
#define ATTACHMENT_LINES 800 /* of 76 characters and a line end: 60 KiB */

static void put(struct buf *out, const char *text)
{
    MICRO_OK(buf_append_slice(out, slice_str(text)));
}

static void header(struct buf *out)
{
    put(out, "Return-Path: <alice.liddell@mail.example.org>\r\n"
             "Received: from mail.example.org (mail.example.org [192.0.2.25])\r\n"
             "\tby mx1.example.test (Pillarbox) with ESMTPS id 4cD7xk2vQz\r\n"
             "\tfor <bob@example.test>; Fri, 20 Nov 2026 10:15:42 +0000\r\n"
             "Received: from [198.51.100.7] by mail.example.org with ESMTPSA; Fri, 20 Nov 2026 10:15:41 +0000\r\n"
             "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sel; t=1795169741;\r\n"
             "\th=from:to:subject:date:message-id; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
             "\tb=Zk3w5pQx0r1s2t3u4v5w6x7y8z9A0B1C2D3E4F5G6H7I8J9K0L1M2N3O4P5Q6R7S8T9U0V1W2X3Y4Z5\r\n"
             "\t a6b7c8d9e0f1g2h3i4j5k6l7m8n9o0p1q2r3s4t5u6v7w8x9y0z1==\r\n"
             "From: Alice Liddell <alice.liddell@mail.example.org>\r\n"
             "To: Bob Builder <bob@example.test>, \"Carol, of Sales\" <carol@example.test>\r\n"
             "Cc: =?utf-8?Q?Dani=C3=A8le?= <daniele@example.test>\r\n"
             "Subject: =?utf-8?B?UsOpdW5pb24gZGUgamV1ZGk=?= and the plan for next week\r\n"
             "Date: Fri, 20 Nov 2026 11:15:40 +0100\r\n"
             "Message-ID: <20261120101540.8F3A2C41@mail.example.org>\r\n"
             "In-Reply-To: <20261119090000.1B2C3D4E@example.test>\r\n"
             "References: <20261118080000.0A1B2C3D@example.test>\r\n"
             " <20261119090000.1B2C3D4E@example.test>\r\n"
             "User-Agent: Mozilla Thunderbird\r\n"
             "MIME-Version: 1.0\r\n");
}

void mail_plain(struct buf *out)
{
    header(out);
    put(out, "Content-Type: text/plain; charset=utf-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    while (out->len < PLAIN_BYTES) {
        put(out, "The plan is the same as last week's, but for the two points that Carol brought up.\r\n");
    }
}

void mail_parts(struct buf *out)
{
    header(out);
    put(out, "Content-Type: multipart/mixed; boundary=\"------------outer-3f9a\"\r\n\r\n"
             "This is a multi-part message in MIME format.\r\n--------------outer-3f9a\r\n"
             "Content-Type: multipart/alternative; boundary=\"------------inner-77c1\"\r\n\r\n"
             "--------------inner-77c1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSee the drawing.\r\n"
             "--------------inner-77c1\r\nContent-Type: text/html; charset=utf-8\r\n"
             "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>See the <b>drawing</b>.</p>=20\r\n"
             "--------------inner-77c1--\r\n\r\n--------------outer-3f9a\r\n"
             "Content-Type: application/pdf; name=\"drawing of the new house.pdf\"\r\n"
             "Content-Disposition: attachment; filename=\"drawing of the new house.pdf\"; size=45600\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\n");
    for (int i = 0; i < ATTACHMENT_LINES; i++) {
        put(out, "JVBERi0xLjcKJeLjz9MKMSAwIG9iago8PC9UeXBlL0NhdGFsb2cvUGFnZXMgMiAwIFI+PgplbmRvYmoK\r\n");
    }
    put(out, "--------------outer-3f9a--\r\n");
}

void mail_record(struct slice message, struct buf *out)
{
    struct msg_parser *p;
    MICRO_OK(msg_parser_new(&msg_limits_default, &p));
    MICRO_OK(msg_parser_feed(p, message));
    MICRO_OK(msg_parser_finish(p, out));
    msg_parser_free(p);
}
