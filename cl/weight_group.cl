/* weight_group.cl: where a block of packed weights finds its scales and minima. Included by the kernels whose
 * weights come in tiles of 16 rows and blocks of 32 columns. A block is taken in PARTS, each under one scale.
 *
 * Build  GROUP elements per scale: 16 (8-bit weights), 32 or another multiple of 32; 0: a whole row
 *        HAS_MIN a clm_min_kind
 *
 * GROUPS(columns): scales of a row; GROUP_OF(b, part): that of part `part` of block b; GROUP_END(b, blocks), of
 * whole blocks: where the group that begins with block b ends, in a row of `blocks`.
 */
#ifndef GROUP
#define GROUP 32
#endif
#ifndef HAS_MIN
#define HAS_MIN 0
#endif
#if GROUP < 0 || (GROUP != 16 && GROUP % 32 != 0)
#error "weights: GROUP must be 0, 16 or a multiple of 32"
#endif
#if HAS_MIN < 0 || HAS_MIN > 2
#error "weights: HAS_MIN must be 0, 1 or 2"
#endif

#if GROUP == 16
#define PARTS             2
#define GROUPS(columns)   ((columns) / 16)
#define GROUP_OF(b, part) ((b) * 2 + (part))
#elif GROUP == 0
#define PARTS                1
#define GROUPS(columns)      1
#define GROUP_OF(b, part)    0
#define GROUP_END(b, blocks) (blocks)
#else
#define PARTS                1
#define GROUPS(columns)      ((columns) / GROUP)
#define GROUP_OF(b, part)    ((b) / (GROUP / 32))
#define GROUP_END(b, blocks) ((b) + GROUP / 32)
#endif
