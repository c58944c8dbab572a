// A ring of vectors that earlier batches left (He et al. 2020, MoCo, https://arxiv.org/abs/1911.05722, section 3.1).
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace hearth {

/// Puts `rows`, along `axis`, in the places of `queue` from number `next` (int64, modulo its size) on; of more than fit,
/// the last. Returns how many.
inline std::int64_t enqueue(at::Tensor& queue, std::int64_t axis, const at::Tensor& rows,
                            const at::Tensor& next) {
    const at::NoGradGuard no_grad;
    const auto capacity = queue.size(axis), count = std::min(rows.size(axis), capacity);
    const auto newest = rows.slice(axis, rows.size(axis) - count).to(queue.scalar_type());
    queue.index_copy_(axis, (at::arange(count, next.options()) + next).remainder(capacity), newest);
    return count;
}

}  // namespace hearth
