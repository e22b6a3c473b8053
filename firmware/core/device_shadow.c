/*
 * device_shadow.c: who has the memory of a shadow (shadow.h), and for how long.
 *
 * The runner's pointer to it says that there is one: whoever takes the memory, and a script that begins,
 * clear that, and so nobody need be told. Nothing is recorded meanwhile.
 */
#include "device_inside.h"
#include "inside.h"

bool fw_device_look_into_scan(fw_device_t *device, uint32_t now_ms)
{
    fw_runner_t *runner = &device->controller.runner;
    if (runner->shadow != NULL) {
        fw_shadow_look(runner->shadow, now_ms);
        if (fw_shadow_is_over(runner->shadow, now_ms)) {
            runner->shadow = NULL;
        }
    }
    return runner->shadow != NULL;
}

fw_api_result_t fw_device_breakpoint(void *ctx, uint16_t line)
{
    fw_device_t *device = ctx;
    fw_controller_t *controller = &device->controller;
    fw_runner_t *runner = &controller->runner;
    fw_statement_t statement;
    if (runner->is_stopped) {
        return FW_PROBLEM_WRONG_STATE;
    }
    if (!fw_shadow_find(&runner->vm.program, line, &statement)) {
        return FW_PROBLEM_OUT_OF_RANGE;
    }
    if (fw_device_is_dumping(device) || device->kept.is_hashing ||
        fw_scripts_is_compiling(&device->scripts)) {
        return FW_PROBLEM_BUSY;
    }
    controller->recorder = NULL; /* which had the memory till now */
    runner->shadow = &device->work.shadow;
    fw_shadow_begin(runner->shadow, &statement, fw_now(controller));
    controller->input_news = true; /* the next scan comes soon */
    return FW_PROBLEM_NONE;
}

fw_api_result_t fw_device_step(void *ctx)
{
    fw_device_t *device = ctx;
    fw_shadow_t *shadow = device->controller.runner.shadow;
    bool has_stepped = shadow != NULL && fw_shadow_step(shadow, fw_now(&device->controller));
    return has_stepped ? FW_PROBLEM_NONE : FW_PROBLEM_WRONG_STATE;
}

void fw_device_let_go(void *ctx)
{
    fw_device_t *device = ctx;
    device->controller.runner.shadow = NULL;
}

uint8_t fw_device_shadow(void *ctx, uint16_t *line)
{
    const fw_device_t *device = ctx;
    const fw_shadow_t *shadow = device->controller.runner.shadow;
    *line = shadow == NULL ? 0u : shadow->at.line;
    return shadow == NULL ? (uint8_t)FW_SHADOW_NONE : shadow->state;
}
