/*
 * frame.c: the header codec, and the reader that finds whole frames in a split stream.
 */
#include "frame.h"

const char *fw_frame_fault_name(fw_frame_fault_t fault)
{
    switch (fault) {
    case FW_FRAME_OK:
        return "ok";
    case FW_FRAME_INCOMPLETE:
        return "incomplete";
    case FW_FRAME_UNKNOWN_KIND:
        return "unknown_kind";
    case FW_FRAME_BAD_FLAGS:
        return "bad_flags";
    case FW_FRAME_TOO_LARGE:
        return "too_large";
    }
    return "unknown";
}

fw_code_t fw_frame_fault_code(fw_frame_fault_t fault)
{
    switch (fault) {
    case FW_FRAME_OK:
    case FW_FRAME_INCOMPLETE:
        return FW_CODE_OK;
    case FW_FRAME_TOO_LARGE:
        return FW_CODE_TOO_LARGE;
    case FW_FRAME_UNKNOWN_KIND:
    case FW_FRAME_BAD_FLAGS:
        break;
    }
    return FW_CODE_MALFORMED;
}

fw_frame_fault_t fw_frame_header_check(const fw_frame_header_t *header)
{
    if (!fw_kind_known(header->kind)) {
        return FW_FRAME_UNKNOWN_KIND;
    }
    if ((header->flags & ~(unsigned)fw_kind_flags_allowed(header->kind)) != 0) {
        return FW_FRAME_BAD_FLAGS;
    }
    return FW_FRAME_OK;
}

void fw_frame_header_encode(const fw_frame_header_t *header, uint8_t out[FW_HEADER_BYTES])
{
    out[0] = header->kind;
    out[1] = header->flags;
    fw_store_u16(out + 2, header->payload_bytes);
    fw_store_u32(out + 4, header->correlation);
    fw_store_u32(out + 8, header->source);
    fw_store_u32(out + 12, header->destination);
}

fw_frame_fault_t fw_frame_header_decode(const uint8_t in[FW_HEADER_BYTES],
                                        fw_frame_header_t *header)
{
    header->kind = in[0];
    header->flags = in[1];
    header->payload_bytes = fw_load_u16(in + 2);
    header->correlation = fw_load_u32(in + 4);
    header->source = fw_load_u32(in + 8);
    header->destination = fw_load_u32(in + 12);
    return fw_frame_header_check(header);
}

fw_frame_fault_t fw_frame_take(const uint8_t *bytes, size_t length, size_t frame_bytes_max,
                               fw_frame_t *frame, size_t *frame_bytes)
{
    if (length < FW_HEADER_BYTES) {
        return FW_FRAME_INCOMPLETE;
    }
    fw_frame_fault_t fault = fw_frame_header_decode(bytes, &frame->header);
    if (fault != FW_FRAME_OK) {
        return fault;
    }
    size_t whole = FW_HEADER_BYTES + (size_t)frame->header.payload_bytes;
    if (whole > frame_bytes_max) {
        return FW_FRAME_TOO_LARGE;
    }
    if (length < whole) {
        return FW_FRAME_INCOMPLETE;
    }
    frame->payload = bytes + FW_HEADER_BYTES;
    *frame_bytes = whole;
    return FW_FRAME_OK;
}

void fw_frame_reader_init(fw_frame_reader_t *reader, uint8_t *buffer, size_t capacity)
{
    reader->buffer = buffer;
    reader->capacity = capacity;
    reader->held = 0;
    reader->wanted = FW_HEADER_BYTES;
    reader->fault = capacity < FW_HEADER_BYTES ? FW_FRAME_TOO_LARGE : FW_FRAME_OK;
}

fw_frame_fault_t fw_frame_reader_push(fw_frame_reader_t *reader, const uint8_t *bytes,
                                      size_t length, size_t *used, fw_frame_t *frame)
{
    *used = 0;
    if (reader->fault != FW_FRAME_OK) {
        return reader->fault;
    }
    for (;;) {
        size_t step = reader->wanted - reader->held;
        if (step > length - *used) {
            step = length - *used;
        }
        if (step > 0) {
            fw_copy(reader->buffer + reader->held, bytes + *used, step);
            reader->held += step;
            *used += step;
        }
        if (reader->held < reader->wanted) {
            return FW_FRAME_INCOMPLETE;
        }
        /* A header without payload is whole at once; with one it now says what is still wanted. */
        size_t whole = 0;
        fw_frame_fault_t fault =
            fw_frame_take(reader->buffer, reader->held, reader->capacity, frame, &whole);
        if (fault == FW_FRAME_OK) {
            reader->held = 0;
            reader->wanted = FW_HEADER_BYTES;
            return FW_FRAME_OK;
        }
        if (fault != FW_FRAME_INCOMPLETE) {
            reader->fault = fault;
            return fault;
        }
        reader->wanted = FW_HEADER_BYTES + (size_t)frame->header.payload_bytes;
    }
}

bool fw_frame_reader_mid_frame(const fw_frame_reader_t *reader)
{
    return reader->held > 0;
}
