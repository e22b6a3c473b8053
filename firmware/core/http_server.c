/*
 * http_server.c: see http_server.h.
 */
#include "http_server.h"

/* What a connection's incoming bytes are for. */
typedef enum {
    INPUT_NONE = 0, /* there is no connection */
    INPUT_READING,  /* a head */
    INPUT_READY,    /* nothing more: a whole request waits to be answered */
    INPUT_BODY,     /* the exchange's body */
    INPUT_SWALLOW,  /* the body of a request that is refused */
    INPUT_DEAF,     /* nothing more: it cannot be understood, or the end is near */
} input_t;

/* What goes out. */
typedef enum {
    OUTPUT_NONE = 0,
    OUTPUT_PROBLEM,
    OUTPUT_FILE,
    OUTPUT_EXCHANGE,
    OUTPUT_LINGER, /* nothing more: the client may close */
    OUTPUT_CLOSED, /* nothing more: the port has been told */
} output_t;

/* Room for the size of a chunk before it, and for the end behind it. */
#define CHUNK_HEAD_BYTES 5u
#define CHUNK_END_BYTES 7u

_Static_assert(FW_HTTP_TRANSMIT_BYTES >= 1440u && FW_HTTP_TRANSMIT_BYTES <= 0xFFFu,
               "a head and 1,024 bytes must fit, and a piece's size three digits");

void fw_http_server_init(fw_http_server_t *server, const fw_http_port_t *port,
                         const fw_http_handler_t *handler, const fw_http_names_t *names,
                         const fw_http_file_t *files, uint8_t files_count)
{
    *server = (fw_http_server_t){
        .port = port,
        .handler = handler,
        .names = names,
        .files = files,
        .files_count = files_count,
        .exchange = FW_HTTP_NOBODY,
        .sender = FW_HTTP_NOBODY,
    };
}

static void hold(fw_http_server_t *server, uint8_t index, bool held)
{
    fw_http_connection_t *connection = &server->connections[index];
    if (connection->is_held != held) {
        connection->is_held = held;
        server->port->hold(server->port->ctx, index, held);
    }
}

/* ---- who may ask ---- */

/* "192.168.4.1"; how many bytes of the text it is, or 0. */
static size_t ipv4_bytes(const char *host)
{
    size_t at = 0;
    for (uint8_t part = 0; part < 4u; part++) {
        uint32_t number = 0;
        uint8_t digits = 0;
        if (part > 0u && host[at++] != '.') {
            return 0;
        }
        while (host[at] >= '0' && host[at] <= '9' && digits < 4u) {
            number = number * 10u + (uint32_t)(host[at++] - '0');
            digits++;
        }
        if (digits == 0u || number > 255u) {
            return 0;
        }
    }
    return at;
}

/* How many bytes `name` and `ending` are of a host's text, or 0. */
static size_t name_bytes(const char *host, const char *name, const char *ending)
{
    if (name == NULL || name[0] == '\0') {
        return 0;
    }
    size_t at = 0;
    for (size_t i = 0; name[i] != '\0'; i++, at++) {
        if (fw_lower((uint8_t)host[at]) != fw_lower((uint8_t)name[i])) {
            return 0;
        }
    }
    for (size_t i = 0; ending[i] != '\0'; i++, at++) {
        if (fw_lower((uint8_t)host[at]) != (uint8_t)ending[i]) {
            return 0;
        }
    }
    return at;
}

bool fw_http_host_is_ours(const char *host, const fw_http_names_t *names)
{
    size_t lengths[] = {ipv4_bytes(host), name_bytes(host, names->local, ".local"),
                        name_bytes(host, names->other, "")};
    for (uint8_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t at = lengths[i];
        if (at == 0u) {
            continue;
        }
        if (host[at] == ':') {
            at++;
            while (host[at] >= '0' && host[at] <= '9') {
                at++;
            }
        }
        if (host[at] == '\0') {
            return true;
        }
    }
    return false;
}

static const fw_http_file_t *file_at(const fw_http_server_t *server, const fw_http_head_t *head)
{
    fw_span_t path = {(const uint8_t *)head->target, fw_string_length(head->target)};
    for (uint8_t i = 0; i < server->files_count; i++) {
        if (fw_text_is(path, server->files[i].path)) {
            return &server->files[i];
        }
    }
    return NULL;
}

static bool only_reads(const fw_http_head_t *head)
{
    return head->method == FW_HTTP_GET || head->method == FW_HTTP_HEAD;
}

/* Everything that a head alone can be refused for. */
static fw_problem_t judge(const fw_http_server_t *server, const fw_http_head_t *head)
{
    if (!fw_http_host_is_ours(head->host, server->names)) {
        return FW_PROBLEM_WRONG_HOST;
    }
    if (only_reads(head)) {
        if (head->is_chunked || head->body_bytes > 0u) {
            return FW_PROBLEM_BODY_UNEXPECTED;
        }
        if (file_at(server, head) != NULL) {
            return FW_PROBLEM_NONE;
        }
        if (head->method == FW_HTTP_HEAD) {
            return FW_PROBLEM_NOT_ALLOWED;
        }
    } else if (head->is_foreign) {
        return FW_PROBLEM_FOREIGN;
    } else if (!head->is_marked) {
        return FW_PROBLEM_UNMARKED;
    } else if (file_at(server, head) != NULL) {
        return FW_PROBLEM_NOT_ALLOWED;
    }
    return server->handler->admit(server->handler->ctx, head, server->now_ms);
}

/* ---- what comes in ---- */

uint8_t fw_http_server_opened(fw_http_server_t *server, uint32_t now_ms)
{
    for (uint8_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        fw_http_connection_t *connection = &server->connections[i];
        if (connection->input == INPUT_NONE) {
            *connection = (fw_http_connection_t){.input = INPUT_READING, .since_ms = now_ms};
            fw_http_start(&connection->parser);
            return i;
        }
    }
    return FW_HTTP_NOBODY;
}

static void begin_exchange(fw_http_server_t *server, uint8_t index)
{
    fw_http_connection_t *connection = &server->connections[index];
    server->exchange = index;
    server->is_answered = false;
    connection->output = OUTPUT_EXCHANGE;
    connection->head_sent = false;
    connection->is_head = false;
    connection->keeps = connection->parser.head.keeps && !connection->dropped;
    server->handler->begin(server->handler->ctx, &connection->parser.head);
}

/* Whether there is something to be answered besides what is being answered now. */
static bool is_waiting(const fw_http_connection_t *connection)
{
    return connection->input == INPUT_READY ||
           (connection->input == INPUT_DEAF && connection->problem != FW_PROBLEM_NONE);
}

/* Takes up a request that is waiting; false if there is none, or it is not its turn. */
static bool start(fw_http_server_t *server, uint8_t index)
{
    fw_http_connection_t *connection = &server->connections[index];
    const fw_http_head_t *head = &connection->parser.head;
    if (connection->output != OUTPUT_NONE || !is_waiting(connection)) {
        return false;
    }
    if (connection->problem == FW_PROBLEM_NONE) {
        connection->problem = (uint8_t)judge(server, head);
    }
    const fw_http_file_t *file = file_at(server, head);
    if (connection->problem == FW_PROBLEM_NONE && file == NULL) {
        if (server->exchange != FW_HTTP_NOBODY) {
            return false;
        }
        begin_exchange(server, index);
    } else {
        connection->output = connection->problem != FW_PROBLEM_NONE ? OUTPUT_PROBLEM : OUTPUT_FILE;
        connection->said = connection->problem;
        connection->file = file;
        connection->head_sent = false;
        connection->is_head = head->method == FW_HTTP_HEAD;
        connection->keeps = head->keeps && !connection->dropped;
        bool is_known = file != NULL && head->has_etag && head->etag == file->etag;
        connection->at = is_known ? file->length : 0u;
    }
    connection->problem = FW_PROBLEM_NONE;
    if (connection->input == INPUT_READY) {
        connection->input = connection->dropped ? INPUT_DEAF : INPUT_READING;
        fw_http_start(&connection->parser);
        hold(server, index, false);
    }
    return true;
}

/* The head of a request with a body is there. Without one, it is judged when its turn has come. */
static void take_head(fw_http_server_t *server, uint8_t index)
{
    fw_http_connection_t *connection = &server->connections[index];
    const fw_http_head_t *head = &connection->parser.head;
    connection->problem = FW_PROBLEM_NONE;
    if (!head->is_chunked && head->body_bytes == 0u) {
        return;
    }
    connection->problem = (uint8_t)judge(server, head);
    if (connection->problem == FW_PROBLEM_NONE &&
        (connection->output != OUTPUT_NONE || server->exchange != FW_HTTP_NOBODY)) {
        connection->problem = FW_PROBLEM_BUSY;
    }
    if (connection->problem == FW_PROBLEM_NONE) {
        begin_exchange(server, index);
        connection->input = INPUT_BODY;
        connection->continues = head->expects_continue;
    } else if (head->expects_continue) {
        /* Whoever asks first, and is refused, may send the body or not: one cannot know. */
        connection->input = INPUT_DEAF;
        connection->dropped = true;
    } else {
        connection->input = INPUT_SWALLOW;
    }
}

/* The request is complete. */
static void take_end(fw_http_server_t *server, uint8_t index, uint32_t now_ms)
{
    fw_http_connection_t *connection = &server->connections[index];
    connection->since_ms = now_ms;
    if (connection->input == INPUT_BODY) {
        connection->continues = false;
        connection->input = INPUT_READING;
        fw_http_start(&connection->parser);
        return;
    }
    connection->input = INPUT_READY;
    if (!start(server, index)) {
        hold(server, index, true);
    }
}

/* Nothing that follows can be understood. An exchange that is still being read has no end. */
static void take_failure(fw_http_server_t *server, uint8_t index, fw_problem_t problem)
{
    fw_http_connection_t *connection = &server->connections[index];
    if (connection->input == INPUT_BODY) {
        server->handler->end(server->handler->ctx);
        server->exchange = FW_HTTP_NOBODY;
        connection->output = OUTPUT_NONE;
        connection->continues = false;
    }
    connection->problem = (uint8_t)problem;
    connection->input = INPUT_DEAF;
    connection->dropped = true;
}

void fw_http_server_receive(fw_http_server_t *server, uint8_t index, const uint8_t *bytes,
                            size_t length, uint32_t now_ms)
{
    fw_http_connection_t *connection = &server->connections[index];
    fw_span_t input = {bytes, length};
    server->now_ms = now_ms;
    for (;;) {
        if (connection->input == INPUT_NONE || connection->input == INPUT_READY ||
            connection->input == INPUT_DEAF) {
            connection->dropped = connection->dropped || input.length > 0u;
            return;
        }
        bool had_begun = fw_http_has_begun(&connection->parser);
        fw_span_t piece = {0};
        fw_http_event_t event = fw_http_read(&connection->parser, &input, &piece);
        if (!had_begun && fw_http_has_begun(&connection->parser)) {
            connection->begun_ms = now_ms;
        }
        switch (event) {
        case FW_HTTP_HEADED:
            take_head(server, index);
            break;
        case FW_HTTP_PIECE:
            connection->continues = false; /* it did not wait for it */
            if (connection->input == INPUT_BODY) {
                server->handler->body(server->handler->ctx, piece.bytes, piece.length);
            }
            break;
        case FW_HTTP_END:
            take_end(server, index, now_ms);
            break;
        case FW_HTTP_FAILED:
            take_failure(server, index, (fw_problem_t)connection->parser.problem);
            break;
        default:
            return;
        }
    }
}

/* ---- what goes out ---- */

static void put_header(fw_text_t *text, const char *name, const char *value)
{
    fw_text_string(text, name);
    fw_text_string(text, ": ");
    fw_text_string(text, value);
    fw_text_string(text, "\r\n");
}

/* Status line, and what every answer says. */
static void put_head(const fw_http_connection_t *connection, fw_text_t *text, uint16_t status)
{
    fw_text_string(text, "HTTP/1.1 ");
    fw_text_number(text, status);
    fw_text_byte(text, ' ');
    fw_text_string(text, fw_status_phrase(status));
    fw_text_string(text, "\r\n");
    put_header(text, "X-Content-Type-Options", "nosniff");
    put_header(text, "Referrer-Policy", "no-referrer");
    if (!connection->keeps) {
        put_header(text, "Connection", "close");
    }
}

static void put_length(fw_text_t *text, size_t length)
{
    fw_text_string(text, "Content-Length: ");
    fw_text_number(text, (int64_t)length);
    fw_text_string(text, "\r\n\r\n");
}

static void fill_problem(fw_http_connection_t *connection, fw_text_t *text)
{
    const fw_problem_text_t *problem = fw_problem_text((fw_problem_t)connection->said);
    static const char *const parts[] = {"{\"code\":\"", "\",\"message\":\"", "\"}"};
    put_head(connection, text, (uint16_t)fw_word(&problem->status));
    put_header(text, "Content-Type", "application/json");
    put_header(text, "Cache-Control", "no-store");
    put_length(text, fw_string_length(problem->code) + fw_string_length(problem->message) +
                         fw_string_length(parts[0]) + fw_string_length(parts[1]) +
                         fw_string_length(parts[2]));
    if (!connection->is_head) {
        fw_text_string(text, parts[0]);
        fw_text_string(text, problem->code);
        fw_text_string(text, parts[1]);
        fw_text_string(text, problem->message);
        fw_text_string(text, parts[2]);
    }
    connection->finished = true;
}

static void fill_file(fw_http_connection_t *connection, fw_text_t *text)
{
    const fw_http_file_t *file = connection->file;
    if (!connection->head_sent) {
        bool is_known = connection->at == file->length && file->length > 0u;
        put_head(connection, text, is_known ? 304u : 200u);
        fw_text_string(text, "ETag: \"");
        fw_text_hex(text, file->etag, 8);
        fw_text_string(text, "\"\r\n");
        put_header(text, "Cache-Control", "no-cache");
        if (is_known) {
            fw_text_string(text, "\r\n");
        } else {
            put_header(text, "Content-Type", file->content_type);
            put_header(text, "Content-Security-Policy", file->policy);
            if (file->is_gzip) {
                put_header(text, "Content-Encoding", "gzip");
            }
            put_length(text, file->length);
            connection->at = connection->is_head ? file->length : 0u;
        }
        connection->head_sent = true;
    }
    size_t room = text->room - text->length;
    size_t left = file->length - connection->at;
    size_t length = left < room ? left : room;
    fw_text_span(text, file->bytes + connection->at, length);
    connection->at += (uint32_t)length;
    connection->finished = connection->at == file->length;
}

static void put_answer_head(const fw_http_server_t *server, const fw_http_connection_t *connection,
                            fw_text_t *text)
{
    const fw_http_answer_t *answer = &server->answer;
    put_head(connection, text, answer->status);
    put_header(text, "Content-Type", answer->content_type);
    put_header(text, "Cache-Control", "no-store");
    if (answer->retry_after_s > 0u) {
        fw_text_string(text, "Retry-After: ");
        fw_text_number(text, answer->retry_after_s);
        fw_text_string(text, "\r\n");
    }
    if (answer->token != NULL || answer->forgets_token) {
        fw_text_string(text, "Set-Cookie: switchyard=");
        for (uint8_t i = 0; answer->token != NULL && i < FW_HTTP_TOKEN_BYTES; i++) {
            fw_text_hex(text, answer->token[i], 2);
        }
        fw_text_string(text, "; Path=/; HttpOnly; SameSite=Strict");
        fw_text_string(text, answer->token == NULL ? "; Max-Age=0\r\n" : "\r\n");
    }
    fw_text_string(text, "Transfer-Encoding: chunked\r\n\r\n");
}

/* A chunk of what the handler says, behind the head if that is not sent yet. */
static void fill_exchange(fw_http_server_t *server, fw_http_connection_t *connection,
                          fw_text_t *text)
{
    if (!connection->head_sent) {
        put_answer_head(server, connection, text);
        connection->head_sent = true;
    }
    size_t at = text->length + CHUNK_HEAD_BYTES;
    size_t room = text->room - at - CHUNK_END_BYTES;
    bool more = false;
    size_t length = server->handler->piece(server->handler->ctx, text->bytes + at, room, &more);
    if (length > 0u) {
        fw_text_hex(text, (uint32_t)length, 3);
        fw_text_string(text, "\r\n");
        text->length += length;
        fw_text_string(text, "\r\n");
    }
    if (!more) {
        fw_text_string(text, "0\r\n\r\n");
        connection->finished = true;
        server->handler->end(server->handler->ctx);
        server->exchange = FW_HTTP_NOBODY;
    }
}

/* Fills the free buffer with what this connection has to say next; false if that is nothing. */
static bool fill(fw_http_server_t *server, uint8_t index)
{
    fw_http_connection_t *connection = &server->connections[index];
    fw_text_t text;
    fw_text_init(&text, server->transmit, sizeof(server->transmit));
    connection->finished = false;
    if (connection->continues) {
        connection->continues = false;
        fw_text_string(&text, "HTTP/1.1 100 Continue\r\n\r\n");
    } else if (connection->output == OUTPUT_PROBLEM) {
        fill_problem(connection, &text);
    } else if (connection->output == OUTPUT_FILE) {
        fill_file(connection, &text);
    } else if (connection->output == OUTPUT_EXCHANGE && server->is_answered) {
        fill_exchange(server, connection, &text);
    } else {
        return false;
    }
    server->filled = (uint16_t)text.length;
    server->sender = index;
    server->is_taken = false;
    return true;
}

static void linger(fw_http_connection_t *connection, uint32_t now_ms)
{
    connection->output = OUTPUT_LINGER;
    connection->input = INPUT_DEAF;
    connection->problem = FW_PROBLEM_NONE;
    connection->since_ms = now_ms;
}

void fw_http_server_sent(fw_http_server_t *server, uint8_t index, uint32_t now_ms)
{
    fw_http_connection_t *connection = &server->connections[index];
    if (server->sender != index || !server->is_taken) {
        return;
    }
    server->filled = 0;
    server->sender = FW_HTTP_NOBODY;
    connection->since_ms = now_ms;
    if (!connection->finished || connection->output >= OUTPUT_LINGER) {
        return;
    }
    connection->finished = false;
    connection->output = OUTPUT_NONE;
    if (!connection->keeps) {
        linger(connection, now_ms);
    }
}

void fw_http_server_closed(fw_http_server_t *server, uint8_t index)
{
    fw_http_connection_t *connection = &server->connections[index];
    if (server->exchange == index) {
        server->handler->end(server->handler->ctx);
        server->exchange = FW_HTTP_NOBODY;
    }
    if (server->sender == index) {
        server->filled = 0;
        server->sender = FW_HTTP_NOBODY;
    }
    connection->input = INPUT_NONE;
    connection->output = OUTPUT_NONE;
}

/* ---- time ---- */

static void close(fw_http_server_t *server, uint8_t index, bool at_once)
{
    fw_http_connection_t *connection = &server->connections[index];
    connection->output = OUTPUT_CLOSED;
    connection->input = INPUT_DEAF;
    connection->continues = false;
    if (server->exchange == index) {
        server->handler->end(server->handler->ctx);
        server->exchange = FW_HTTP_NOBODY;
    }
    if (server->sender == index && !server->is_taken) {
        server->filled = 0;
        server->sender = FW_HTTP_NOBODY;
    }
    server->port->close(server->port->ctx, index, at_once);
}

static bool is_idle(const fw_http_connection_t *connection)
{
    return connection->input == INPUT_READING && connection->output == OUTPUT_NONE &&
           !fw_http_has_begun(&connection->parser);
}

/* Ends what has taken too long; true if something happened. */
static bool check_time(fw_http_server_t *server, uint8_t index, uint32_t now_ms)
{
    fw_http_connection_t *connection = &server->connections[index];
    uint32_t stood_ms = now_ms - connection->since_ms;
    if (connection->input == INPUT_NONE || connection->output == OUTPUT_CLOSED) {
        return false;
    }
    if (connection->output == OUTPUT_LINGER || is_idle(connection)) {
        bool lingers = connection->output == OUTPUT_LINGER;
        if (stood_ms < (lingers ? FW_HTTP_LINGER_MS : FW_HTTP_IDLE_MS_MAX)) {
            return false;
        }
        close(server, index, false);
        return true;
    }
    if (server->sender == index) {
        if (now_ms - server->sent_ms >= FW_HTTP_STALL_MS_MAX) {
            close(server, index, true);
            return true;
        }
        return false;
    }
    bool is_read = connection->input == INPUT_READING || connection->input == INPUT_BODY ||
                   connection->input == INPUT_SWALLOW;
    if (is_read && fw_http_has_begun(&connection->parser) &&
        now_ms - connection->begun_ms >= FW_HTTP_REQUEST_MS_MAX) {
        take_failure(server, index, FW_PROBLEM_SLOW);
        connection->since_ms = now_ms;
        return true;
    }
    if (connection->output == OUTPUT_EXCHANGE && connection->input != INPUT_BODY &&
        !server->is_answered && stood_ms >= FW_HTTP_ANSWER_MS_MAX) {
        close(server, index, true);
        return true;
    }
    return false;
}

/* All connections are in use: the one that is idle the longest makes room for the next client. */
static void give_way(fw_http_server_t *server, uint32_t now_ms)
{
    uint8_t longest = FW_HTTP_NOBODY;
    uint32_t longest_ms = FW_HTTP_IDLE_FULL_MS_MAX;
    for (uint8_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        const fw_http_connection_t *connection = &server->connections[i];
        if (connection->input == INPUT_NONE || connection->output == OUTPUT_CLOSED) {
            return;
        }
        if (is_idle(connection) && now_ms - connection->since_ms >= longest_ms) {
            longest = i;
            longest_ms = now_ms - connection->since_ms;
        }
    }
    if (longest != FW_HTTP_NOBODY) {
        close(server, longest, false);
    }
}

/* Asks the handler for its answer; true once it is there. */
static bool ask(fw_http_server_t *server, uint32_t now_ms)
{
    const fw_http_connection_t *connection = &server->connections[server->exchange];
    if (server->is_answered || connection->input == INPUT_BODY) {
        return false;
    }
    server->answer = (fw_http_answer_t){.status = 200, .content_type = "application/json"};
    server->is_answered = server->handler->answer(server->handler->ctx, now_ms, &server->answer);
    return server->is_answered;
}

/* Has somebody fill the free buffer, in turn; true if it is full now. */
static bool fill_next(fw_http_server_t *server, uint32_t now_ms)
{
    for (uint8_t i = 0; i < FW_HTTP_CONNECTIONS_MAX && server->filled == 0u; i++) {
        uint8_t index = (uint8_t)((server->next + i) % FW_HTTP_CONNECTIONS_MAX);
        if (fill(server, index)) {
            server->next = (uint8_t)((index + 1u) % FW_HTTP_CONNECTIONS_MAX);
            server->sent_ms = now_ms;
        }
    }
    return server->filled > 0u;
}

uint32_t fw_http_server_poll(fw_http_server_t *server, uint32_t now_ms)
{
    server->now_ms = now_ms;
    bool has_worked = false;
    bool is_open = false;
    for (uint8_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        has_worked = check_time(server, i, now_ms) || has_worked;
        is_open = is_open || server->connections[i].input != INPUT_NONE;
    }
    give_way(server, now_ms);
    for (uint8_t i = 0; i < FW_HTTP_CONNECTIONS_MAX; i++) {
        uint8_t index = (uint8_t)((server->next + i) % FW_HTTP_CONNECTIONS_MAX);
        if (start(server, index)) {
            server->connections[index].since_ms = now_ms;
            has_worked = true;
        }
    }
    bool is_asked = server->exchange != FW_HTTP_NOBODY;
    has_worked = (is_asked && ask(server, now_ms)) || has_worked;
    if (server->filled == 0u) {
        has_worked = fill_next(server, now_ms) || has_worked;
    }
    if (server->filled > 0u && !server->is_taken) {
        const fw_http_port_t *port = server->port;
        server->is_taken = port->send(port->ctx, server->sender, server->transmit, server->filled);
        is_asked = is_asked || !server->is_taken;
    }
    return has_worked ? 0u : is_asked ? FW_HTTP_SLICE_MS : is_open ? 250u : 60000u;
}
