"""Prints sun_table.h: NOAA's formula for sunrise and sunset in double precision.

    python3 sun_table.py > sun_table.h

It shares nothing with the core: its own terms, all of them, and no shortcut but iteration, which goes
on until the sun is taken where it stands at the very moment that comes out.
"""

from math import acos, asin, cos, degrees, radians, sin, tan

ZENITH = 90.833
LATITUDES = (-65, -60, -45, -33.9, -23.4, 0, 10, 23.4, 40, 52.5, 60, 65)
DATES_EACH = 24
FIRST_DAY, DAYS = 10957, 36525  # 2000-01-01, a century


def sun_at(utc):
    """Declination in radians, equation of time in degrees."""
    t = (utc / 86400 + 2440587.5 - 2451545) / 36525
    longitude = 280.46646 + t * (36000.76983 + t * 0.0003032)
    anomaly = radians(357.52911 + t * (35999.05029 - t * 0.0001537))
    eccentricity = 0.016708634 - t * (0.000042037 + t * 0.0000001267)
    centre = (
        sin(anomaly) * (1.914602 - t * (0.004817 + t * 0.000014))
        + sin(2 * anomaly) * (0.019993 - t * 0.000101)
        + sin(3 * anomaly) * 0.000289
    )
    node = radians(125.04 - 1934.136 * t)
    apparent = radians(longitude + centre - 0.00569 - 0.00478 * sin(node))
    seconds = 21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))
    obliquity = radians(23 + (26 + seconds / 60) / 60 + 0.00256 * cos(node))
    y = tan(obliquity / 2) ** 2
    double = 2 * radians(longitude)
    equation = (
        y * sin(double)
        - 2 * eccentricity * sin(anomaly)
        + 4 * eccentricity * y * sin(anomaly) * cos(double)
        - y * y / 2 * sin(2 * double)
        - 1.25 * eccentricity**2 * sin(2 * anomaly)
    )
    return asin(sin(obliquity) * sin(apparent)), degrees(equation)


def crossing_s(latitude, longitude, day, side):
    """Seconds after the day's 00:00 UTC; `side` is -1 for sunrise and 1 for sunset."""
    latitude = radians(latitude)
    noon = 43200 - longitude * 240
    at = noon + side * 21600
    for _ in range(20):
        declination, equation = sun_at(day * 86400 + at)
        height = cos(radians(ZENITH)) - sin(latitude) * sin(declination)
        angle = degrees(acos(height / (cos(latitude) * cos(declination))))
        at = noon + (side * angle - equation) * 240
    return round(at)


print("/*")
print(" * sun_table.h: sunrise and sunset by NOAA's formula, made by sun_table.py.")
print(" *")
print(" * Latitude, longitude, day; rises_s, sets_s, as in fw_place_t and fw_sun_t.")
print(" */")
number = 0
for date in range(DATES_EACH):
    for latitude in LATITUDES:
        # Steps that have nothing in common with a year or a turn.
        day = FIRST_DAY + (number * 7919) % DAYS
        longitude = (number * 77123) % 360001 / 1000 - 180
        rises, sets = (crossing_s(latitude, longitude, day, side) for side in (-1, 1))
        place = f"{round(latitude * 1000)}, {round(longitude * 1000)}"
        print(f"{{{place}, {day}, {rises}, {sets}}},")
        number += 1
