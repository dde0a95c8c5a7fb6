#include "proto/message/content.h"

#include "proto/message/param.h"

#define WORD_BYTES_MAX 128
#define TEXT_BYTES_MAX 1024
#define LANGUAGES_MAX 16

/* Content-Transfer-Encoding := token. What cannot be read is taken as 7bit. */
static struct slice encoding_token(const struct msg_fields *f)
{
    struct slice none = slice_str("7bit");
    struct slice v = f->value[MSG_FIELD_CONTENT_TRANSFER_ENCODING];
    if (v.p == NULL) {
        return none;
    }
    struct msg_lex l = msg_lex_make(v);
    msg_lex_skip_cfws(&l);
    struct slice token = msg_lex_token(&l);
    return token.n == 0 ? none : token;
}

static enum msg_encoding encoding_of(struct slice token)
{
    static const struct {
        const char *name;
        enum msg_encoding encoding;
    } rows[] = {
        {"7bit", MSG_ENC_7BIT},     {"8bit", MSG_ENC_8BIT},           {"binary", MSG_ENC_BINARY},
        {"base64", MSG_ENC_BASE64}, {"quoted-printable", MSG_ENC_QP},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (slice_ieq_str(token, rows[i].name)) {
            return rows[i].encoding;
        }
    }
    return MSG_ENC_OTHER;
}

static void set_type(struct msg_content *c, const char *type, const char *subtype)
{
    c->type = slice_str(type);
    c->subtype = slice_str(subtype);
    c->params = slice_make(NULL, 0);
}

/* content := "Content-Type" ":" type "/" subtype *(";" parameter). False when it has no type and subtype. */
static bool read_type(struct msg_content *c, struct slice value)
{
    if (value.p == NULL) {
        return false;
    }
    struct msg_lex l = msg_lex_make(value);
    msg_lex_skip_cfws(&l);
    c->type = msg_lex_token(&l);
    msg_lex_skip_cfws(&l);
    if (c->type.n == 0 || l.p == l.end || *l.p != '/') {
        return false;
    }
    l.p++;
    msg_lex_skip_cfws(&l);
    c->subtype = msg_lex_token(&l);
    c->params = slice_make(l.p, (size_t)(l.end - l.p));
    return c->subtype.n > 0;
}

static void read_charset(struct msg_content *c, struct msg_text *text)
{
    struct msg_text *value = text + 1;
    static const char none[] = "us-ascii";
    c->has_charset = msg_param_get(c->params, "charset", text, value);
    struct slice name = msg_trim(msg_text_slice(value));
    if (!c->has_charset || name.n == 0 || name.n >= sizeof(c->charset)) {
        memcpy(c->charset, none, sizeof(none));
        return;
    }
    for (size_t i = 0; i < name.n; i++) {
        uint8_t ch = name.p[i];
        c->charset[i] = (char)(ch > ' ' && ch < 127 ? ascii_lower(ch) : '?');
    }
    c->charset[name.n] = '\0';
}

/* boundary := 0*69<bchars> bcharsnospace; longer ones are taken up to what a line of mail can be expected to hold. */
static void read_boundary(struct msg_content *c, struct msg_text *text)
{
    struct msg_text *value = text + 1;
    (void)msg_param_get(c->params, "boundary", text, value);
    /* Trailing white space of a delimiter line is padding, so a boundary cannot end in it. */
    while (value->n > 0 && msg_is_space(value->b[value->n - 1])) {
        value->n--;
    }
    c->boundary_bytes = value->n > sizeof(c->boundary) ? 0 : value->n;
    memcpy(c->boundary, value->b, c->boundary_bytes);
}

static enum msg_family family_of(struct slice subtype)
{
    if (slice_ieq_str(subtype, "digest")) {
        return MSG_FAMILY_DIGEST;
    }
    if (slice_ieq_str(subtype, "related")) {
        return MSG_FAMILY_RELATED;
    }
    return slice_ieq_str(subtype, "report") ? MSG_FAMILY_REPORT : MSG_FAMILY_NONE;
}

static void read_multipart(struct msg_content *c, struct msg_text *text)
{
    read_boundary(c, text);
    if (c->boundary_bytes == 0) {
        set_type(c, "text", "plain");
        return;
    }
    c->kind = MSG_PART_MULTIPART;
    c->family = family_of(c->subtype);
}

/* RFC 2046, 5.2.1 forbids to encode message/rfc822; RFC 6532 allows it for message/global. What is encoded cannot be
 * looked into by offsets, and the grammar wants an envelope for the type, so it goes as bytes. */
static void read_message(struct msg_content *c)
{
    if (c->encoding == MSG_ENC_BASE64 || c->encoding == MSG_ENC_QP) {
        c->type = slice_str("application");
        c->subtype = slice_str("octet-stream");
    } else {
        c->kind = MSG_PART_MESSAGE;
    }
}

enum disposition { DISPOSITION_NONE, DISPOSITION_INLINE, DISPOSITION_ATTACHMENT };

static enum disposition disposition_of(const struct msg_fields *f, struct slice *out_params)
{
    struct slice v = f->value[MSG_FIELD_CONTENT_DISPOSITION];
    *out_params = slice_make(NULL, 0);
    if (v.p == NULL) {
        return DISPOSITION_NONE;
    }
    struct msg_lex l = msg_lex_make(v);
    msg_lex_skip_cfws(&l);
    struct slice token = msg_lex_token(&l);
    *out_params = slice_make(l.p, (size_t)(l.end - l.p));
    if (slice_ieq_str(token, "inline")) {
        return DISPOSITION_INLINE;
    }
    return token.n > 0 ? DISPOSITION_ATTACHMENT : DISPOSITION_NONE; /* RFC 2183, 2.8: unknown ones are attachments */
}

/* Parts that are machinery of the message around them, not something a user attached. */
static bool is_machinery(const struct msg_content *c)
{
    static const char *const subtypes[] = {"pgp-signature", "pgp-encrypted", "pkcs7-signature", "x-pkcs7-signature"};
    for (size_t i = 0; i < sizeof(subtypes) / sizeof(subtypes[0]); i++) {
        if (slice_ieq_str(c->subtype, subtypes[i])) {
            return true;
        }
    }
    return false;
}

/* What a mail client shows a paper clip for: attached by its disposition, or not shown in the text by its type. */
static bool is_attachment(const struct msg_content *c, const struct msg_fields *f, enum msg_family parent,
                          struct msg_text *text)
{
    struct slice params;
    enum disposition d = disposition_of(f, &params);
    if (c->kind == MSG_PART_MULTIPART || parent == MSG_FAMILY_REPORT || parent == MSG_FAMILY_DIGEST ||
        is_machinery(c)) {
        return false;
    }
    if (d != DISPOSITION_NONE) {
        bool named = msg_param_get(params, "filename", text, text + 1);
        return d == DISPOSITION_ATTACHMENT || (named && f->value[MSG_FIELD_CONTENT_ID].p == NULL && !c->is_text);
    }
    if (parent == MSG_FAMILY_RELATED && f->value[MSG_FIELD_CONTENT_ID].p != NULL) {
        return false;
    }
    return !c->is_text || msg_param_get(c->params, "name", text, text + 1);
}

void msg_content_degrade(struct msg_content *c)
{
    set_type(c, "application", "octet-stream");
    c->kind = MSG_PART_LEAF;
    c->family = MSG_FAMILY_NONE;
    c->is_text = false;
    c->is_html = false;
}

void msg_content_read(struct msg_content *c, const struct msg_fields *f, enum msg_family parent, struct msg_text *text)
{
    c->kind = MSG_PART_LEAF;
    c->family = MSG_FAMILY_NONE;
    c->boundary_bytes = 0;
    c->encoding = encoding_of(encoding_token(f));
    struct slice value = f->value[MSG_FIELD_CONTENT_TYPE];
    if (!read_type(c, value)) {
        bool digest = parent == MSG_FAMILY_DIGEST && value.p == NULL;
        set_type(c, digest ? "message" : "text", digest ? "rfc822" : "plain");
    }
    if (slice_ieq_str(c->type, "multipart")) {
        read_multipart(c, text);
    } else if (slice_ieq_str(c->type, "message") &&
               (slice_ieq_str(c->subtype, "rfc822") || slice_ieq_str(c->subtype, "global"))) {
        read_message(c);
    }
    c->is_text = slice_ieq_str(c->type, "text");
    c->is_html = c->is_text && slice_ieq_str(c->subtype, "html");
    read_charset(c, text);
    c->is_attachment = is_attachment(c, f, parent, text);
}

static void write_field(struct msg_out *o, const struct msg_fields *f, enum msg_field id)
{
    struct slice v = f->value[id];
    msg_out_u8(o, ' ');
    msg_out_nstring(o, v.p == NULL ? v : msg_trim(v), TEXT_BYTES_MAX);
}

void msg_content_write_head(struct msg_out *o, const struct msg_content *c, const struct msg_fields *f,
                            struct msg_text *text)
{
    if (c->kind == MSG_PART_MULTIPART) {
        msg_out_string(o, c->subtype, WORD_BYTES_MAX);
        return;
    }
    msg_out_string(o, c->type, WORD_BYTES_MAX);
    msg_out_u8(o, ' ');
    msg_out_string(o, c->subtype, WORD_BYTES_MAX);
    msg_out_u8(o, ' ');
    msg_params_write(o, c->params, c->is_text && !c->has_charset, text);
    write_field(o, f, MSG_FIELD_CONTENT_ID);
    write_field(o, f, MSG_FIELD_CONTENT_DESCRIPTION);
    msg_out_u8(o, ' ');
    msg_out_string(o, encoding_token(f), WORD_BYTES_MAX);
}

/* body-fld-dsp = "(" string SP body-fld-param ")" / nil */
static void write_disposition(struct msg_out *o, const struct msg_fields *f, struct msg_text *text)
{
    struct slice v = f->value[MSG_FIELD_CONTENT_DISPOSITION];
    struct msg_lex l = msg_lex_make(v.p == NULL ? slice_str("") : v);
    msg_lex_skip_cfws(&l);
    struct slice token = msg_lex_token(&l);
    if (token.n == 0) {
        msg_out_str(o, " NIL");
        return;
    }
    msg_out_str(o, " (");
    msg_out_string(o, token, WORD_BYTES_MAX);
    msg_out_u8(o, ' ');
    msg_params_write(o, slice_make(l.p, (size_t)(l.end - l.p)), false, text);
    msg_out_u8(o, ')');
}

/* body-fld-lang = nstring / "(" string *(SP string) ")" ; Content-Language: 1#language-tag, RFC 3282. */
static void write_language(struct msg_out *o, const struct msg_fields *f)
{
    struct slice v = f->value[MSG_FIELD_CONTENT_LANGUAGE];
    struct msg_lex l = msg_lex_make(v.p == NULL ? slice_str("") : v);
    struct slice tags[LANGUAGES_MAX];
    size_t n = 0;
    while (l.p < l.end && n < LANGUAGES_MAX) {
        msg_lex_skip_cfws(&l);
        struct slice tag = msg_lex_token(&l);
        if (tag.n > 0) {
            tags[n++] = tag;
        } else if (l.p < l.end) {
            l.p++;
        }
    }
    msg_out_u8(o, ' ');
    if (n < 2) {
        msg_out_nstring(o, n == 0 ? slice_make(NULL, 0) : tags[0], WORD_BYTES_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        msg_out_u8(o, i == 0 ? '(' : ' ');
        msg_out_string(o, tags[i], WORD_BYTES_MAX);
    }
    msg_out_u8(o, ')');
}

void msg_content_write_ext(struct msg_out *o, const struct msg_content *c, const struct msg_fields *f,
                           struct msg_text *text)
{
    if (c->kind == MSG_PART_MULTIPART) {
        msg_out_u8(o, ' ');
        msg_params_write(o, c->params, false, text);
    } else {
        write_field(o, f, MSG_FIELD_CONTENT_MD5);
    }
    write_disposition(o, f, text);
    write_language(o, f);
    write_field(o, f, MSG_FIELD_CONTENT_LOCATION);
}
