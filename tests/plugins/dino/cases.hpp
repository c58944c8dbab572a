// Small cases for DINO's head and loss, in double.
#pragma once

#include <ATen/ATen.h>

#include "support/gradients.hpp"
#include "support/plugins.hpp"
#include "support/thread_comm.hpp"

namespace hearth::test {

using Changes = std::vector<std::pair<std::string, OptionValue>>;

inline double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
}

/// Logits of `global` + `local` views of `batch` images over `prototypes`; no local views: undefined.
struct Case {
    at::Tensor teacher, student, local;
    Tensors in() const {
        Tensors made{{"teacher_logits", teacher}, {"student_logits", student}};
        if (local.defined()) made.set("local_logits", local);
        return made;
    }
};

inline Case example(std::int64_t global, std::int64_t local, std::int64_t batch, std::int64_t prototypes) {
    at::manual_seed(3);
    const auto draw = [&](std::int64_t views) {
        return at::randn({views, batch, prototypes}, at::kDouble) * 0.3;
    };
    Case made{draw(global), draw(global), {}};
    if (local > 0) made.local = draw(local);
    return made;
}

/// The loss for a case, in double, as a plan would make it.
inline std::shared_ptr<Loss> loss_for(const Case& sample, const Changes& changes = {}) {
    Symbols symbols;
    symbols.bind("G", sample.teacher.size(0));
    symbols.bind("K", sample.teacher.size(2));
    if (sample.local.defined()) symbols.bind("V", sample.local.size(0));
    auto made = make<Loss>("dino", changes, symbols);
    made->to(at::kDouble);
    return made;
}

inline at::Tensor center(Loss& loss) {
    return loss.named_buffers()["center"];
}

}  // namespace hearth::test
