/*
 * sun.c: see sun.h.
 *
 * Angles have 32 bits for a whole turn, so they wrap by themselves; fractions have 30 bits behind
 * the point. The formula is that of NOAA's solar calculator (after Meeus, Astronomical Algorithms,
 * chapter 25) without its smallest terms: nutation, the third one of the centre, and what grows
 * with the square of time.
 */
#include "sun.h"

#define DAY_S 86400
#define ONE (1 << 30)
#define HALF_TURN 0x80000000u
#define QUARTER_TURN 0x40000000u

/* From here the angles are counted: 2000-01-01 12:00, J2000.0. */
#define EPOCH_UTC 946728000

/* The sine of the sun's height when it rises or sets: -0.833 degrees. */
#define RISING_SINE (-15610145)

static int32_t multiply(int32_t a, int32_t b)
{
    return (int32_t)((int64_t)a * b / ONE);
}

/* Within 6e-7. */
static int32_t sine(uint32_t angle)
{
    bool is_negative = angle >= HALF_TURN;
    angle &= HALF_TURN - 1u;
    if (angle > QUARTER_TURN) {
        angle = HALF_TURN - angle;
    }
    /* A quarter turn is 2^30: the angle is itself the fraction of it that the polynomial takes. */
    int32_t x = (int32_t)angle;
    int32_t square = multiply(x, x);
    int32_t sum = multiply(-4652626, square) + 85291978;
    sum = multiply(sum, square) - 693522166;
    sum = multiply(sum, square) + 1686624005;
    sum = multiply(sum, x);
    return is_negative ? -sum : sum;
}

static int32_t cosine(uint32_t angle)
{
    return sine(angle + QUARTER_TURN);
}

/* Of a fraction from 0 to 1: the first 16 bits, one at a time, without a multiplication. */
static int32_t root(int32_t fraction)
{
    uint32_t rest = fraction == ONE ? UINT32_MAX : (uint32_t)fraction << 2;
    uint32_t found = 0;
    for (uint32_t digit = ONE; digit != 0u; digit >>= 2) {
        uint32_t next = found + digit;
        found >>= 1;
        if (rest >= next) {
            rest -= next;
            found += digit;
        }
    }
    return (int32_t)(found << 14);
}

/* The angle from 0 to a half turn that has this cosine, within 5e-5 radians or a second of the day.
 * The form is that of Abramowitz and Stegun, 4.4.45. */
static uint32_t arc_cosine(int32_t fraction)
{
    int32_t x = fraction < 0 ? -fraction : fraction;
    int32_t sum = multiply(-14281068, x) + 52564381;
    sum = multiply(sum, x) - 145514083;
    sum = multiply(sum, x) + 1073715858;
    uint32_t angle = (uint32_t)multiply(sum, root(ONE - x));
    return fraction < 0 ? HALF_TURN - angle : angle;
}

static uint32_t angle_of(int32_t thousandths)
{
    return (uint32_t)(thousandths * ((int64_t)1 << 32) / 360000);
}

/* Where the sun stands at a moment. */
typedef struct {
    int32_t declination_sine;
    int32_t ahead; /* of the mean sun, the equation of time: an angle */
} position_t;

static position_t position(int64_t utc)
{
    int64_t elapsed_s = utc - EPOCH_UTC;
    /* Mean longitude, less aberration, and mean anomaly; they move so far in 2^20 seconds. What is
     * above 32 bits is whole turns, also before the epoch. */
    uint32_t longitude = 3346027319u + (uint32_t)((uint64_t)elapsed_s * 142713512u >> 20);
    uint32_t anomaly = 4265488430u + (uint32_t)((uint64_t)elapsed_s * 142706696u >> 20);
    int32_t centre = multiply(22813357, sine(anomaly)) + multiply(237923, sine(2u * anomaly));
    longitude += (uint32_t)centre;
    /* The obliquity of J2000.0, whose sine loses 2,377 / 512 units in 65,536 seconds. */
    int32_t obliquity_sine = 427109969 - (int32_t)(elapsed_s / 65536) * 2377 / 512;
    return (position_t){
        .declination_sine = multiply(obliquity_sine, sine(longitude)),
        .ahead = multiply(29400133, sine(2u * longitude)) -
                 multiply(632250, sine(4u * longitude)) - centre,
    };
}

/* How far from noon the sun rises and sets. 0: it stays down; half a turn: it stays up. */
static uint32_t half_day(uint32_t latitude, int32_t declination_sine)
{
    int32_t declination_cosine = root(ONE - multiply(declination_sine, declination_sine));
    int32_t height = RISING_SINE - multiply(sine(latitude), declination_sine);
    int32_t reach = multiply(cosine(latitude), declination_cosine);
    if (height >= reach) {
        return 0;
    }
    if (height <= -reach) {
        return HALF_TURN;
    }
    return arc_cosine((int32_t)((int64_t)height * ONE / reach));
}

/* When the sun crosses the horizon before (-1) or after (1) a noon of the mean sun. */
static int64_t crossing(const fw_place_t *place, int64_t mean_noon, int32_t side)
{
    uint32_t latitude = angle_of(place->latitude);
    int64_t utc = mean_noon + side * (DAY_S / 4);
    /* The second time with the sun of the moment that the first time gave. */
    for (uint8_t time = 0; time < 2u; time++) {
        position_t sun = position(utc);
        uint32_t away = half_day(latitude, sun.declination_sine);
        if (away == 0u || away == HALF_TURN) {
            /* Noon, or the midnight that this day and the one beside it both name. */
            utc = mean_noon + (away == 0u ? 0 : side * (DAY_S / 2));
            return utc - (int64_t)position(utc).ahead * DAY_S / ((int64_t)1 << 32);
        }
        utc = mean_noon + (side * (int64_t)away - sun.ahead) * DAY_S / ((int64_t)1 << 32);
    }
    return utc;
}

/* How much later the mean sun is at a place than in Greenwich: 240 seconds for each degree west. */
static int32_t later_s(const fw_place_t *place)
{
    return -place->longitude * 6 / 25;
}

int32_t fw_sun_day(const fw_place_t *place, int32_t day, int32_t offset_s)
{
    int32_t noon_s = DAY_S / 2 - offset_s - later_s(place);
    return day + (noon_s >= DAY_S ? 1 : noon_s < 0 ? -1 : 0);
}

fw_sun_t fw_sun(const fw_place_t *place, int32_t day)
{
    int64_t begins = (int64_t)day * DAY_S;
    int64_t mean_noon = begins + DAY_S / 2 + later_s(place);
    return (fw_sun_t){
        .day = day,
        .rises_s = (int32_t)(crossing(place, mean_noon, -1) - begins),
        .sets_s = (int32_t)(crossing(place, mean_noon, 1) - begins),
    };
}

void fw_almanac_open(fw_almanac_t *almanac, const fw_place_t *place)
{
    *almanac = (fw_almanac_t){.place = *place};
    for (uint32_t i = 0; i < FW_ALMANAC_DAYS; i++) {
        almanac->days[i].day = INT32_MIN; /* none that is asked for */
    }
}

const fw_sun_t *fw_almanac_day(fw_almanac_t *almanac, int32_t day)
{
    fw_sun_t *sun = &almanac->days[(uint32_t)day % FW_ALMANAC_DAYS];
    if (sun->day != day) {
        *sun = fw_sun(&almanac->place, day);
    }
    return sun;
}
