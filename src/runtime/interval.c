/* SPDX-License-Identifier: BSD-3-Clause */
#include "interval.h"

#include <math.h>

double wc_interval_daly(double cost_s, double mtbf_s) {
    double x = cost_s / (2 * mtbf_s);
    if (x >= 1)
        return mtbf_s;
    return sqrt(2 * cost_s * mtbf_s) * (1 + sqrt(x) / 3 + x / 9) - cost_s;
}

double wc_interval_choose(const wc_interval_basis *basis) {
    double s = basis->overhead_percent > 0
                   ? basis->cost_s * 100 / basis->overhead_percent
                   : wc_interval_daly(basis->cost_s, basis->mtbf_s) + basis->cost_s;
    return fmax(s, basis->latency_s);
}

double wc_interval_mtbf(double up_s, uint64_t failures) {
    return failures ? fmax(up_s / (double)failures, 1) : fmax(up_s, WC_INTERVAL_MTBF_S);
}
