// Carries named tensors from component to component.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

namespace hearth {

class Tensors {
  public:
    Tensors() = default;
    Tensors(std::initializer_list<std::pair<const std::string, at::Tensor>> list) : map_(list) {}

    /// The tensor of that name. Throws Error(internal) naming what is there instead.
    const at::Tensor& operator[](const std::string& name) const;
    bool has(const std::string& name) const { return map_.count(name) != 0; }
    void set(const std::string& name, at::Tensor tensor) { map_.insert_or_assign(name, std::move(tensor)); }
    auto begin() const { return map_.begin(); }
    auto end() const { return map_.end(); }
    std::size_t size() const { return map_.size(); }

  private:
    std::map<std::string, at::Tensor> map_;
};

}  // namespace hearth
