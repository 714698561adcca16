/* limit_launch.cl: the smallest launch there is, to time launching itself: out[0] = value
 *
 * Reference  none: a probe of tuning/device_limits.c.
 * Launch     1-D: one work-item.
 */
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void limit_launch(__global int *restrict out, const int value)
{
    out[0] = value;
}
