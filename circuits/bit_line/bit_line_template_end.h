/* Takes back what bit_line_template.h and its includer define. */
#undef vec
#undef bits
#undef words
#undef bytes
#undef selection
#undef list
#undef passage
#undef scaling
#undef REAL
#undef LANES
#undef LENGTH
#undef TARGET
#undef ANY_NEGATIVE
#undef NAME
