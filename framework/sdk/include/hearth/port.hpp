// Ports name the tensors that a component reads and writes.
#pragma once

#include <hearth/shape.hpp>
#include <string>
#include <vector>

namespace hearth {

/// One named tensor. `shape` uses symbols where the size is somebody else's business: "B L D".
struct Port {
    std::string name;
    Shape shape;
    std::string help;
    bool optional = false;  ///< may stay unconnected; the component then finds no tensor of that name
    std::string dtype = "float";

    Port(std::string port_name, const char* symbols, std::string line)
        : name(std::move(port_name)), shape(parse_shape(symbols)), help(std::move(line)) {}
    Port(std::string port_name, Shape dims, std::string line)
        : name(std::move(port_name)), shape(std::move(dims)), help(std::move(line)) {}
    Port maybe() const {
        Port copy = *this;
        copy.optional = true;
        return copy;
    }
    Port of(std::string type) const {
        Port copy = *this;
        copy.dtype = std::move(type);
        return copy;
    }
};

using Ports = std::vector<Port>;

}  // namespace hearth
