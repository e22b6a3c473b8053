/*
 * problem.c: see problem.h.
 */
#include "problem.h"

#define FW_PROBLEM_ROW(name, status, code, message) {(code), (message), (status)},
static const fw_problem_text_t texts[] = {FW_PROBLEM_LIST(FW_PROBLEM_ROW)};
#undef FW_PROBLEM_ROW

const fw_problem_text_t *fw_problem_text(fw_problem_t problem)
{
    return &texts[problem < FW_PROBLEMS ? problem : FW_PROBLEM_INTERNAL];
}

const char *fw_status_phrase(uint16_t status)
{
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}
