// Measures how well values of pixels point at regions: by the area under the per-region overlap curve (PRO),
// as Bergmann et al. measure anomaly localisation (MVTec AD, IJCV 2021, section 5.2,
// https://doi.org/10.1007/s11263-020-01400-4). Small regions count as much as large ones; the AUROC of pixels
// (metrics.hpp) has the large ones dominate.
#pragma once

#include <cstddef>
#include <span>

namespace hearth::eval {

/// For every threshold: the false positive rate over all normal pixels, and the mean over regions of the share
/// of their pixels that are found. The area under that curve from rate 0 to `limit`, divided by `limit`, so
/// that 1 is perfect and a constant score has limit / 2. Tied scores enter together; the curve is linear in
/// between. `regions` holds 0 for a normal pixel and 1 .. R for those of a region. NaN without regions or
/// without normal pixels. Throws NumericError for a score that is not finite, DataError for lengths that
/// differ, a negative region or a limit outside (0, 1].
///
///     const double value = aupro(scores, regions, 0.3);
double aupro(std::span<const double> scores, std::span<const int> regions, double limit = 0.3);

}  // namespace hearth::eval
