/* The form of the look-up for processors that compress vectors (AVX-512 VBMI2): inputs that are off are not looked up.
 *
 * High bits are rarely set, and many inputs are 0. For each position and input bit, the halves of words in which some
 * row is driven are listed; sums follow the lists. What is left out would add exactly 0, so that results are those of
 * the other forms, bit for bit. Lists of four positions are followed together, to the end of the longest; what fills up
 * the others points to an entry that is 0. Part of bit_serial.c.
 */
#define LISTS __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,fma,popcnt")))

enum { SLOTS = 32, TOGETHER = 4, LIST_TILE = 128, LIST_CHUNKS = 1024 };

/* The lists of one chunk of a position's words: table offsets of each bit, and how many there are. */
LISTS INLINE void list_chunk(const uint64_t *words, int64_t chunk, uint16_t *lists, uint8_t *lengths)
{
    uint8_t order[64] __attribute__((aligned(64)));
    uint16_t places[SLOTS] __attribute__((aligned(64)));
    for (int i = 0; i < 64; i++)
        order[i] = (uint8_t)(i % 16 * 8 + i / 16);
    for (int i = 0; i < SLOTS; i++)
        places[i] = (uint16_t)(i * 16 * sizeof(columns_t));
    const __m512i four = _mm512_load_si512(order), place = _mm512_load_si512(places);
    const __m512i low = _mm512_set1_epi32(15 << 6), high = _mm512_set1_epi32(15 << 22);
    uint32_t present = (1u << chunk) - 1;
    __m512i first = _mm512_maskz_loadu_epi64((__mmask8)present, words);
    __m512i last = _mm512_maskz_loadu_epi64((__mmask8)(present >> 8), words + 8);
    /* Bytes of one bit side by side, four bits a vector. */
    __m512i bits[2] = {_mm512_permutex2var_epi8(first, four, last),
                       _mm512_permutex2var_epi8(first, _mm512_add_epi8(four, _mm512_set1_epi8(4)), last)};
#define LIST(b)                                                                                                        \
    {                                                                                                                  \
        __m512i wide = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bits[b / 4], b % 4));                            \
        __m512i entry = _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi32(wide, 6), low),                             \
                                        _mm512_and_si512(_mm512_slli_epi32(wide, 18), high));                          \
        __mmask32 driven = _mm512_test_epi16_mask(entry, entry);                                                       \
        _mm512_store_si512(lists + b * TOGETHER * SLOTS,                                                               \
                           _mm512_maskz_compress_epi16(driven, _mm512_add_epi16(entry, place)));                       \
        uint8_t length = (uint8_t)_mm_popcnt_u32(driven);                                                              \
        lengths[b] = lengths[b] > length ? lengths[b] : length;                                                        \
    }
    LIST(0) LIST(1) LIST(2) LIST(3) LIST(4) LIST(5) LIST(6) LIST(7)
#undef LIST
}

/* Lists of all chunks of a tile, (chunks, groups of positions, bits, positions, slots), the longest of each group and
 * bit, and the sums of inputs. `words` has room for those of one position. */
LISTS INLINE void list_tile(const struct reading *r, const int64_t *pixel, int64_t tile, uint64_t *words,
                            uint16_t *lists, uint8_t *lengths, double *input_sum)
{
    int64_t groups = (tile + TOGETHER - 1) / TOGETHER;
    for (int64_t t = 0; t < groups * TOGETHER; t++) {
        /* The last group is filled up with a position that nobody asks for. */
        int64_t own = pixel[t < tile ? t : tile - 1], w = 0, c = 0;
        for (int64_t p = 0; p < r->partitions; p++) {
            double sum = 0.0;
            for (int64_t k = 0; k < r->taps; k++) {
                int64_t at = (own + r->tap_offset[k]) * r->octets + r->octet_first[p], count = r->octet_count[p];
                for (int64_t i = 0; i < count; i++)
                    words[w + i] = r->planes[at + i];
                if (r->sum_factor)
                    for (int64_t i = 0; i < count; i++)
                        sum += word_sum(r, at + i, w + i);
                w += count;
            }
            if (t < tile)
                input_sum[t * r->partitions + p] = sum;
            int64_t last = r->word_start[p + 1];
            for (int64_t first = r->word_start[p]; first < last; first += CHUNK, c++) {
                int64_t group = c * groups + t / TOGETHER;
                uint8_t *longest = lengths + group * BITS;
                if (t % TOGETHER == 0)
                    memset(longest, 0, BITS);
                list_chunk(words + first, last - first < CHUNK ? last - first : CHUNK,
                           lists + (group * BITS * TOGETHER + t % TOGETHER) * SLOTS, longest);
            }
        }
    }
}

/* Codes of 16 currents, times the worth of their input bit, added to `sum`; as digitise_avx512. */
LISTS INLINE __m512 add_code(__m512 sum, __m512 i, __m512 lo, __m512 hi, __m512 q, __m512 weight, int positive)
{
    if (!positive)
        i = _mm512_max_ps(i, lo);
    i = _mm512_min_ps(i, hi);
    if (!positive)
        i = _mm512_sub_ps(i, lo);
    i = _mm512_roundscale_ps(_mm512_mul_ps(i, q), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm512_fmadd_ps(i, weight, sum);
}

/* Follow the lists of a chunk for all positions of a tile. opens, closes: whether it is the first or last chunk of its
 * partition; sums stand in `acc` in between, (groups, bits, positions). */
LISTS INLINE void follow(const struct reading *r, int64_t block, int64_t v, int64_t base, int64_t tile,
                         const columns_t *tables, const uint16_t *lists, const uint8_t *lengths, columns_t *acc,
                         columns_t *codes, int bits, int opens, int closes, int positive)
{
    const __m512 lo = _mm512_set1_ps(r->lo[block]), hi = _mm512_set1_ps(r->hi[block]);
    const __m512 q = _mm512_set1_ps(r->codes_per_unit[block]);
    for (int64_t group = 0; group * TOGETHER < tile; group++) {
        float *sums = (float *)(codes + group * TOGETHER);
        __m512 c0 = _mm512_load_ps(sums), c1 = _mm512_load_ps(sums + 16), c2 = _mm512_load_ps(sums + 32),
               c3 = _mm512_load_ps(sums + 48);
        for (int b = 0; b < bits; b++) {
            const uint16_t *list = lists + (group * BITS + b) * TOGETHER * SLOTS;
            float *kept = (float *)(acc + (group * BITS + b) * TOGETHER);
            __m512 a0 = _mm512_setzero_ps(), a1 = a0, a2 = a0, a3 = a0;
            if (!opens) {
                a0 = _mm512_load_ps(kept), a1 = _mm512_load_ps(kept + 16);
                a2 = _mm512_load_ps(kept + 32), a3 = _mm512_load_ps(kept + 48);
            }
            for (const uint16_t *end = list + lengths[group * BITS + b]; list < end; list++) {
#define ENTRY(p) _mm512_load_ps((const char *)tables + list[p * SLOTS])
                a0 = _mm512_add_ps(a0, ENTRY(0));
                a1 = _mm512_add_ps(a1, ENTRY(1));
                a2 = _mm512_add_ps(a2, ENTRY(2));
                a3 = _mm512_add_ps(a3, ENTRY(3));
#undef ENTRY
            }
            if (closes && !r->counts) {
                const __m512 weight = _mm512_set1_ps((float)r->bit_weight[b]);
                c0 = add_code(c0, a0, lo, hi, q, weight, positive);
                c1 = add_code(c1, a1, lo, hi, q, weight, positive);
                c2 = add_code(c2, a2, lo, hi, q, weight, positive);
                c3 = add_code(c3, a3, lo, hi, q, weight, positive);
                continue;
            }
            _mm512_store_ps(kept, a0), _mm512_store_ps(kept + 16, a1);
            _mm512_store_ps(kept + 32, a2), _mm512_store_ps(kept + 48, a3);
        }
        if (!r->counts) {
            _mm512_store_ps(sums, c0), _mm512_store_ps(sums + 16, c1);
            _mm512_store_ps(sums + 32, c2), _mm512_store_ps(sums + 48, c3);
            continue;
        }
        const __m512 floor = _mm512_set1_ps(r->floor[block]);
        for (int64_t t = group * TOGETHER; closes && t < tile && t < (group + 1) * TOGETHER; t++) {
            int every = counts_all(r, block, base + t);
            float *own_sums = (float *)(codes + t);
            __m512 sum = _mm512_load_ps(own_sums);
            for (int b = 0; b < bits; b++) {
                const float *current = (const float *)(acc + (group * BITS + b) * TOGETHER + t % TOGETHER);
                __m512 own = _mm512_load_ps(current);
                sum = _mm512_add_ps(sum, _mm512_mul_ps(own, _mm512_set1_ps((float)r->bit_weight[b])));
                if (r->absolute)
                    own = _mm512_abs_ps(own);
                uint32_t chosen = every ? 0xFFFF : _mm512_cmp_ps_mask(own, floor, _CMP_GT_OQ);
                if (chosen)
                    count(r, block, current, columns_of(r, v) & chosen);
            }
            _mm512_store_ps(own_sums, sum);
        }
    }
}

/* Returns 0, or 1 where memory ran out. */
LISTS static int64_t read_lists(const struct reading *all, int64_t start, int64_t end, int64_t thread)
{
    const struct reading own = own_histograms(all, thread), *r = &own;
    int64_t row_step = r->blocks * r->vectors * LANES, all_words = r->word_start[r->partitions], chunks = 0;
    for (int64_t p = 0; p < r->partitions; p++)
        chunks += (r->word_start[p + 1] - r->word_start[p] + CHUNK - 1) / CHUNK;
    int64_t most = LIST_CHUNKS / chunks / TOGETHER * TOGETHER;
    most = most < 2 * TOGETHER ? 2 * TOGETHER : most > LIST_TILE ? LIST_TILE : most;
    int64_t pixel[LIST_TILE], groups = most / TOGETHER;
    columns_t *tables = NULL, *acc = NULL, *codes = NULL;
    uint16_t *lists = NULL;
    uint8_t *lengths = malloc(chunks * groups * BITS);
    uint64_t *words = malloc(sizeof(uint64_t) * (all_words + 16));
    double *total = NULL, *input_sum = malloc(sizeof(double) * most * r->partitions);
    int failed = posix_memalign((void **)&tables, 64, sizeof(columns_t) * CHUNK * 32)
        || posix_memalign((void **)&acc, 64, sizeof(columns_t) * most * BITS)
        || posix_memalign((void **)&codes, 64, sizeof(columns_t) * most)
        || posix_memalign((void **)&total, 128, sizeof(double) * most * r->vectors * LANES)
        || posix_memalign((void **)&lists, 64, sizeof(uint16_t) * chunks * most * BITS * SLOTS) || input_sum == NULL
        || lengths == NULL || words == NULL;
    int bits = 0;
    while (bits < BITS && r->bit_weight[bits] > 0.0)
        bits++;

    for (int64_t base = start; base < end && !failed; base += most) {
        int64_t tile = end - base < most ? end - base : most;
        groups = (tile + TOGETHER - 1) / TOGETHER;
        find_pixels(r, base, tile, pixel);
        list_tile(r, pixel, tile, words, lists, lengths, input_sum);
        begin_totals(r, tile, input_sum, total);
        for (int64_t block = 0; block < r->blocks; block++)
            for (int64_t v = 0; v < r->vectors; v++) {
                int64_t readings = 0, c = 0; /* readings: partitions summed in `codes` so far */
                memset(codes, 0, sizeof(columns_t) * groups * TOGETHER);
                for (int64_t p = 0; p < r->partitions; p++) {
                    int64_t words_here = r->word_start[p + 1] - r->word_start[p];
                    const float *g = r->conductance + r->weight_start[p] + (block * r->vectors + v) * LANES;
                    for (int64_t w = 0; w < words_here; w += CHUNK, c++) {
                        int64_t chunk = words_here - w < CHUNK ? words_here - w : CHUNK;
                        for (int64_t k = 0; k < 2 * chunk; k++)
                            make_tables(tables + 16 * k, g + (8 * w + 4 * k) * row_step, row_step);
                        const uint16_t *own_lists = lists + c * groups * BITS * TOGETHER * SLOTS;
                        const uint8_t *own_lengths = lengths + c * groups * BITS;
#define FOLLOW(opens, closes, positive)                                                                                \
    follow(r, block, v, base, tile, tables, own_lists, own_lengths, acc, codes, bits, opens, closes, positive)
                        int opens = w == 0, closes = w + chunk == words_here;
                        if (opens && closes && r->positive)
                            FOLLOW(1, 1, 1);
                        else if (opens && closes)
                            FOLLOW(1, 1, 0);
                        else if (closes)
                            FOLLOW(0, 1, 0);
                        else
                            FOLLOW(opens, 0, 0);
#undef FOLLOW
                    }
                    readings++;
                    if (p + 1 < r->partitions && r->same_factor[p + 1])
                        continue;
                    add_codes(r, p, block, v, tile, codes, readings, total);
                    readings = 0;
                    memset(codes, 0, sizeof(columns_t) * groups * TOGETHER);
                }
            }
        finish(r, base, tile, total);
    }
    free(tables);
    free(acc);
    free(codes);
    free(lists);
    free(lengths);
    free(words);
    free(total);
    free(input_sum);
    return failed;
}
