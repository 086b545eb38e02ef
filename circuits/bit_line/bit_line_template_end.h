/* Takes back what bit_line_template.h and its includer define. */
#undef vec
#undef rows_on
#undef bits
#undef list
#undef REAL
#undef LANES
#undef LENGTH
#undef TARGET
#undef SELECT
#undef NAME
