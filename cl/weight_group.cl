/* weight_group.cl: where a block of packed weights finds its scales and minima, by GROUP. Included, with
 * GROUP set, by the kernels whose weights come in tiles of 16 rows and blocks of 32 columns.
 *
 * GROUPS(columns): scales of a row; GROUP_OF(b, part): that of part `part` of block b; GROUP_END(b, blocks): the
 * block behind the last with the scale of block b, which is its group's first, of `blocks` in a row.
 */
/* A block of 32 columns is taken in PARTS, each under one scale. */
#if GROUP == 16
#define PARTS                2
#define GROUPS(columns)      ((columns) / 16)
#define GROUP_OF(b, part)    ((b) * 2 + (part))
#define GROUP_END(b, blocks) ((b) + 1)
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
