// A component may not change what it reads: others read it too. LibTorch counts the changes of a tensor that are
// made in place by its operations; what writes through a raw pointer is not counted (`hearth check` compares
// copies).
#pragma once

#include <c10/util/SmallVector.h>

#include <hearth/tensors.hpp>
#include <string>

namespace hearth::plan {

/// Remembers how often each input had been changed when it was made. `in` has to outlive it.
class Untouched {
  public:
    explicit Untouched(const Tensors& in);
    /// The first input that was changed since, or null.
    const std::string* changed() const;

  private:
    const Tensors& in_;
    c10::SmallVector<std::int64_t, 8> versions_;
};

/// The same with the values of this moment: beside such copies a change through a raw pointer shows. Undefined
/// tensors stay so.
Tensors copied(const Tensors& tensors);

/// "changed its input 'x' in place, ...", for messages.
std::string changed_text(const std::string& input);

}  // namespace hearth::plan
