/*
 * median.c: see median.h.
 */
#include "median.h"

#define READING_MAX 1023u

void fw_median_put(fw_median_t *median, uint16_t reading)
{
    median->readings[median->next] = reading;
    median->next = (uint8_t)((median->next + 1u) % FW_MEDIAN_OF);
    if (median->count < FW_MEDIAN_OF) {
        median->count++;
    }
}

uint16_t fw_median(const fw_median_t *median)
{
    /* The one that as many lie below as above: few enough to count for each. */
    for (uint8_t i = 0; i < median->count; i++) {
        uint8_t below = 0;
        uint8_t equal = 0;
        for (uint8_t k = 0; k < median->count; k++) {
            below = (uint8_t)(below + (median->readings[k] < median->readings[i] ? 1u : 0u));
            equal = (uint8_t)(equal + (median->readings[k] == median->readings[i] ? 1u : 0u));
        }
        uint8_t middle = (uint8_t)(median->count / 2u);
        if (below <= middle && middle < below + equal) {
            return median->readings[i];
        }
    }
    return 0;
}

int32_t fw_adc_millivolts(uint16_t reading, uint16_t full_mv)
{
    uint32_t within = reading > READING_MAX ? READING_MAX : reading;
    return (int32_t)((within * full_mv + READING_MAX / 2u) / READING_MAX);
}
