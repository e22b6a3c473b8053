/*
 * lua.c: what a scan of the same logic costs in Lua, on the same instruction set, with the same
 * inputs.
 *
 * Each example is a chunk that defines `scan`, run once behind the prelude; then `scan` is called
 * as scan.c calls the runner. Prints the name, instructions of the average and of the dearest scan,
 * and the most bytes of heap.
 */
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include "measure.h"
#include FW_EXAMPLES

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITAL_INPUTS = 4 };

static size_t heap_bytes;
static size_t heap_bytes_most;

static void *allocate(void *ctx, void *block, size_t old_bytes, size_t bytes)
{
    (void)ctx;
    heap_bytes += bytes - (block == NULL ? 0u : old_bytes);
    heap_bytes_most = heap_bytes > heap_bytes_most ? heap_bytes : heap_bytes_most;
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    return realloc(block, bytes);
}

static void scan(lua_State *lua, const world_t *world, uint32_t now_ms)
{
    lua_pushinteger(lua, (lua_Integer)now_ms);
    lua_setglobal(lua, "now");
    lua_getglobal(lua, "scan");
    for (int i = 0; i < DIGITAL_INPUTS; i++) {
        lua_pushboolean(lua, world->digital[i]);
    }
    lua_pushinteger(lua, world->analogue);
    lua_call(lua, DIGITAL_INPUTS + 1, 3);
    lua_settop(lua, 0);
}

/* Runs a chunk; what is wrong with it is left on the stack. */
static bool load(lua_State *lua, const example_t *chunk)
{
    return luaL_loadbuffer(lua, chunk->text, strlen(chunk->text), chunk->name) == LUA_OK &&
           lua_pcall(lua, 0, 0, 0) == LUA_OK;
}

static bool measure(const example_t *prelude, const example_t *example)
{
    heap_bytes = 0;
    heap_bytes_most = 0;
    lua_State *lua = lua_newstate(allocate, NULL);
    if (lua == NULL) {
        return false;
    }
    bool runs = load(lua, prelude) && load(lua, example);
    if (!runs) {
        printf("%s\n", lua_tostring(lua, -1));
        return false;
    }
    uint32_t total = 0;
    uint32_t dearest = 0;
    for (uint32_t at = 0; at < SCANS; at++) {
        world_t world = world_at(at);
        uint32_t before = simcall_cycles();
        scan(lua, &world, at * SCAN_MS);
        uint32_t cycles = simcall_cycles() - before;
        total += cycles;
        dearest = cycles > dearest ? cycles : dearest;
    }
    printf("%s %lu %lu %lu\n", example->name,
           (unsigned long)(measure_instructions(total) / SCANS),
           (unsigned long)measure_instructions(dearest), (unsigned long)heap_bytes_most);
    lua_close(lua);
    return true;
}

int main(void)
{
    if (!measure_check()) {
        printf("expected a cycle for each %u instructions\n", INSTRUCTIONS_EACH_CYCLE);
        return 1;
    }
    const example_t *prelude = NULL;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        if (strcmp(examples[i].name, "prelude") == 0) {
            prelude = &examples[i];
        }
    }
    for (size_t i = 0; prelude != NULL && i < sizeof(examples) / sizeof(examples[0]); i++) {
        if (&examples[i] != prelude && !measure(prelude, &examples[i])) {
            return 1;
        }
    }
    return prelude == NULL;
}
