// hearth_vit_cases IN.safetensors OUT.safetensors: runs the cases of a file (reference.hpp) and writes what
// comes out as <case>/<port>: the C++ side of tools/vit_reference.py.
#include <iostream>

#include "reference.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    try {
        const hearth::test::Reference reference(argv[1]);
        std::vector<std::pair<std::string, at::Tensor>> out;
        for (const auto& name : reference.cases())
            for (const auto& [port, tensor] : reference.run(name))
                out.emplace_back(name + "/" + port, tensor.contiguous());
        hearth::base::write_safetensors(argv[2], out, {});
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
