/*
 * lua.c: what a scan of the same logic costs in Lua, on the same instruction set, with the same
 * inputs.
 *
 * Each example is a chunk that defines `scan`, run once behind the prelude; then `scan` is called
 * as scan.c calls the runner, and gives the outputs as the script declares them, and behind them
 * whether an alarm is raised. Prints the name, instructions of the average and of the dearest scan,
 * the most bytes of heap, and what the script did.
 */
#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"
#include "measure.h"
#include FW_EXAMPLES

#include <stdlib.h>
#include <string.h>

enum { DIGITAL_INPUTS = 4, WEEK_S = 7 * 86400, MONDAY_S = 4 * 86400 };

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

static trace_t trace;

/* What the clock on the wall says, once a second: seconds since Monday began. */
static void tell_time(lua_State *lua, int64_t utc)
{
    /* The first of January 1970 was a Thursday. */
    lua_pushinteger(lua, (lua_Integer)((utc + BERLIN_S - MONDAY_S) % WEEK_S));
    lua_setglobal(lua, "week_s");
}

/* One scan of a script with so many commands; its results are left on the stack. */
static void scan(lua_State *lua, const world_t *world, int32_t commands)
{
    lua_pushinteger(lua, (lua_Integer)world->now_ms);
    lua_setglobal(lua, "now");
    lua_getglobal(lua, "scan");
    for (int i = 0; i < DIGITAL_INPUTS; i++) {
        lua_pushboolean(lua, world->digital[i]);
    }
    lua_pushinteger(lua, world->analogue);
    if (world->call == NO_CALL || commands == 0) {
        lua_call(lua, DIGITAL_INPUTS + 1, LUA_MULTRET);
    } else {
        lua_pushinteger(lua, world->call % commands);
        lua_pushinteger(lua, world->argument);
        lua_call(lua, DIGITAL_INPUTS + 3, LUA_MULTRET);
    }
}

/* Sees what the last scan gave, and clears the stack. */
static void note(lua_State *lua, uint32_t at)
{
    int outputs = lua_gettop(lua) - 1;
    uint32_t bits = lua_toboolean(lua, -1) ? TRACE_ALARM : 0u;
    for (int i = 0; i < outputs && i < OUTPUTS_MAX; i++) {
        bits |= (uint32_t)lua_toboolean(lua, i + 1) << i;
    }
    trace.bits[at] = bits;
    lua_settop(lua, 0);
}

/* A number of the chunk's, which nil is not. */
static int32_t number(lua_State *lua, const char *name)
{
    lua_getglobal(lua, name);
    int32_t value = (int32_t)lua_tointeger(lua, -1);
    lua_settop(lua, 0);
    return value;
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
    int64_t told_utc = 0;
    int32_t commands = number(lua, "commands");
    for (uint32_t at = 0; at < SCANS; at++) {
        world_t world = world_at(at);
        uint32_t before = simcall_cycles();
        if (world.utc != told_utc) {
            tell_time(lua, world.utc);
            told_utc = world.utc;
        }
        scan(lua, &world, commands);
        uint32_t cycles = simcall_cycles() - before;
        total += cycles;
        dearest = cycles > dearest ? cycles : dearest;
        note(lua, at);
    }
    trace.events = (uint32_t)number(lua, "events");
    printf("%s %lu %lu %lu ", example->name,
           (unsigned long)(measure_instructions(total) / SCANS),
           (unsigned long)measure_instructions(dearest), (unsigned long)heap_bytes_most);
    trace_print(&trace);
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
