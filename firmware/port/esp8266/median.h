/*
 * median.h: the middle one of the last readings of the ADC.
 *
 * The ADC shares its supply with the radio, and a reading taken while that sends may be far off. A
 * median of five forgets two such readings in a row; it lags two readings behind.
 */
#ifndef FW_MEDIAN_H
#define FW_MEDIAN_H

#include <stdint.h>

#define FW_MEDIAN_OF 5u

/* All zero is none yet. */
typedef struct {
    uint16_t readings[FW_MEDIAN_OF];
    uint8_t count;
    uint8_t next;
} fw_median_t;

void fw_median_put(fw_median_t *median, uint16_t reading);

/* Of what there is; 0 of none. */
uint16_t fw_median(const fw_median_t *median);

/* A reading of 0 to 1023 as thousandths of a volt at the board's pin. */
int32_t fw_adc_millivolts(uint16_t reading, uint16_t full_mv);

#endif
