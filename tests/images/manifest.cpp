#include "images/manifest.hpp"

#include <catch2/catch.hpp>
#include <hearth/error.hpp>

#include "base/csv.hpp"
#include "images/missing_file.hpp"
#include "support/temporary_folder.hpp"

using namespace hearth;
using namespace hearth::base;
using namespace hearth::images;
using Catch::Matchers::Contains;
using hearth::test::message_of;
using hearth::test::TemporaryFolder;
using Names = std::vector<std::string>;

namespace {
Manifest read(const std::string& text) {
    const TemporaryFolder folder;
    return read_manifest(folder.write("m.csv", text));
}
std::string error(const std::string& text) {
    return message_of<DataError>([&] { read(text); });
}
}  // namespace

TEST_CASE("a manifest's paths are resolved against its own folder") {
    const TemporaryFolder folder;
    folder.write(
        "sub/m.csv",
        "path,patient,split,label\nimages/a.png,P1,train,normal\n../b.png,P2,test,nodule\n/x/c.png,,,\n");
    const Manifest manifest = open(folder / "sub/m.csv");
    REQUIRE(manifest.columns == Names{"path", "patient", "split", "label"});
    REQUIRE(manifest.rows.size() == 3);
    CHECK(manifest.rows[0].path == (folder / "sub/images/a.png").string());
    CHECK(manifest.rows[1].path == (folder / "b.png").string());
    CHECK(manifest.rows[2].path == "/x/c.png");
    CHECK(manifest.rows[0].patient == "P1");
    CHECK(manifest.rows[1].split == "test");
    CHECK(manifest.rows[1].cells[manifest.column("label")] == "nodule");
    CHECK(manifest.rows[1].cells[manifest.column("path")] == "../b.png");
    CHECK(manifest.rows[2].line == 4);
}

TEST_CASE("a byte order mark, CRLF, blank lines and a missing last line end change nothing") {
    const Manifest plain = read("path,label\na.png,x\nb.png,y\n");
    const Manifest windows = read("\xEF\xBB\xBFpath,label\r\n\r\na.png,x\r\n\r\n\r\nb.png,y");
    REQUIRE(windows.columns == plain.columns);
    REQUIRE(windows.rows.size() == 2);
    CHECK(windows.rows[0].cells == plain.rows[0].cells);
    CHECK(windows.rows[1].cells == plain.rows[1].cells);
    CHECK(windows.rows[1].line == 6);
}

TEST_CASE("cells have no blanks around them, and words for missing are empty; paths are as written") {
    const Manifest manifest = read(
        "path, label\xC2\xA0,patient,split\na.png,normal\xC2\xA0,7.0,train \nNA,NaN,7,\" train\"\nb.png, "
        "NULL,N/A,\n");
    CHECK(manifest.columns == Names{"path", "label", "patient", "split"});
    CHECK(manifest.rows[0].cells == Names{"a.png", "normal", "7.0", "train"});
    CHECK(manifest.rows[1].cells == Names{"NA", "", "7", "train"});
    CHECK(manifest.rows[2].cells == Names{"b.png", "", "", ""});
    CHECK(manifest.rows[0].patient == manifest.rows[1].patient);
    CHECK(manifest.rows[0].split == manifest.rows[1].split);
    CHECK(manifest.rows[2].patient.empty());
}

TEST_CASE("quoted fields hold commas, quotes and line ends") {
    const Manifest manifest =
        read("path,note\n\"a,1.png\",\"said \"\"no\"\"\ntwice\"\nb.png, \" kept \" \nc.png,  cut  \n");
    CHECK(manifest.rows[0].cells == Names{"a,1.png", "said \"no\"\ntwice"});
    CHECK(manifest.rows[1].cells[1] == "kept");
    CHECK(manifest.rows[1].line == 4);
    CHECK(manifest.rows[2].cells[1] == "cut");
}

TEST_CASE("csv_field writes what parse_csv reads back") {
    for (const std::string field : {"plain", "", "a,b", "say \"x\"", "two\nlines", " blank ", "\r"}) {
        const auto records = parse_csv("first," + csv_field(field) + "\n", "test");
        REQUIRE(records.size() == 1);
        CHECK(records[0].fields == Names{"first", field});
    }
}

TEST_CASE("a header without path names the nearest column") {
    CHECK_THAT(error("paths,label\na.png,x\n"),
               Contains("m.csv:1: no column 'path'") && Contains("mean 'paths'"));
    CHECK_THAT(error("path;label\na.png;x\n"), Contains("separated by commas"));
    CHECK_THAT(error("image_file,label\na.png,x\n"), Contains("image_file, label") && Contains("for example"));
}

TEST_CASE("malformed manifests are refused with the line and the remedy") {
    CHECK_THAT(error("path,label\na.png,x\nb.png\n"), Contains("m.csv:3: found 1 fields; expected 2"));
    CHECK_THAT(error("path,label\n\na.png,x,1\n"), Contains("m.csv:3: found 3 fields; expected 2"));
    CHECK_THAT(error("path,label\n,x\n"), Contains("m.csv:2: the field 'path' is empty"));
    CHECK_THAT(error("path,a,a\nx.png,1,2\n"), Contains("m.csv:1: found column 'a' twice"));
    CHECK_THAT(error(",path\n0,x.png\n"), Contains("column 1 has no name") && Contains("index=False"));
    CHECK_THAT(error("path\n\"a.png\n"), Contains("m.csv:2") && Contains("never closed"));
    CHECK_THAT(error("path\n\"a\"b.png\n"), Contains("m.csv:2") && Contains("after a closing double quote"));
    CHECK_THAT(error("path\na\"b.png\n"), Contains("m.csv:2") && Contains("inside the unquoted field"));
    CHECK_THAT(error(std::string("\xFF\xFEp\0a\0", 6)), Contains("UTF-16"));
    CHECK_THAT(error(""), Contains("empty"));
    CHECK_THAT(error("path,label\n"), Contains("no rows"));
}

TEST_CASE("bytes that are no UTF-8 are refused with their line and what to do") {
    const std::string message = error("path,label\na.png,normal\nb.png,R\xF6ntgen\n");
    CHECK_THAT(message, Contains("m.csv:3: found 'R\\xF6ntgen', whose bytes are no UTF-8") &&
                            Contains("iconv -f WINDOWS-1252 -t UTF-8"));
    CHECK(read("path,label\na.png,R\xC3\xB6ntgen\n").rows[0].cells[1] == "R\xC3\xB6ntgen");
}

TEST_CASE("what spreadsheets and other systems write is named with the remedy") {
    CHECK_THAT(error("path,label\ra.png,x\rb.png,y\r"),
               Contains("m.csv:1: found a carriage return") && Contains("tr '\\r' '\\n'"));
    CHECK_THAT(error("path,label\n\"a.png\"\r\"b.png\"\n"), Contains("m.csv:2: found a carriage return"));
    CHECK_THAT(error("path,label,\na.png,x,\n"),
               Contains("m.csv:1: found a comma at the end") && Contains("remove"));
    CHECK_THAT(error("path,label\na.png,x,\n"),
               Contains("m.csv:2: found 3 fields") && Contains("remove the comma"));
    CHECK_THAT(error("sep=,\npath,label\na.png,x\n"),
               Contains("m.csv:1: found 'sep=,'") && Contains("remove the line"));
    CHECK_THAT(error("sep=;\npath;label\n"), Contains("found 'sep=;'"));
}

TEST_CASE("other files are named instead of read as tables") {
    CHECK_THAT(error("\x89PNG\r\n\x1A\n"), Contains("m.csv:1: found a PNG image; expected a table"));
    CHECK_THAT(error("\xFF\xD8\xFF\xE0"), Contains("a JPEG image"));
    std::string dicom(132, '\0');
    dicom.replace(128, 4, "DICM");
    CHECK_THAT(error(dicom), Contains("a DICOM file"));
    CHECK_THAT(error("PK\x03\x04"), Contains("a zip archive, as Excel's .xlsx is") && Contains("CSV UTF-8"));
    CHECK_THAT(error("\x1F\x8B\x08"), Contains("gzip") && Contains("gunzip"));
    for (const std::string page : {"<!DOCTYPE html>\n", "<!doctype html>\n<html lang=\"en\">\n",
                                   "\xEF\xBB\xBF\n  <HTML>\n", "<?xml version=\"1.0\"?>\n"})
        CHECK_THAT(error(page), Contains("a web page"));
}

TEST_CASE("columns that are patient or split but for capitals, blanks and an ID are found") {
    for (const std::string column :
         {"Patient", "PatientID", "patient_id", "Patient ID", "subject_id", "PATIENT-NO"}) {
        INFO(column);
        CHECK(column_like("patient", {"path", "label", column}) == column);
    }
    CHECK(column_like("split", {"path", "Split "}) == "Split ");
    for (const std::string column : {"inpatient", "patience", "id", "patients_age", "study"})
        CHECK(column_like("patient", {"path", column}).empty());
}

TEST_CASE("a table that is not there is told with the nearest name in its folder") {
    const TemporaryFolder folder;
    folder.write("own-split.csv", "path\na.png\n");
    folder.write("own-splt.txt", "");
    CHECK_THAT(message_of<DataError>([&] { images::open(folder / "own-splt.csv"); }),
               Contains("own-splt.csv: not found; expected a folder of images or a CSV file") &&
                   Contains("(did you mean 'own-split.csv'?)"));
}

TEST_CASE("addresses and paths of Windows are refused with what to write") {
    CHECK_THAT(
        error("path\nfile:///data/a.png\n"),
        Contains("m.csv:2: found the address 'file:///data/a.png'") && Contains("this machine: '/data/a.png'"));
    CHECK_THAT(error("path\nhttps://x.org/a.png\n"), Contains("download it first"));
    CHECK_THAT(error("path\na.png\nimages\\a.png\n"),
               Contains("m.csv:3: found 'images\\a.png', a path of Windows") && Contains("'images/a.png'"));
    CHECK_THAT(error("path\nC:\\films\\a.png\n"), Contains("and no drive"));
    CHECK_THAT(message_of<DataError>([] { open("file:///nowhere/m.csv"); }),
               Contains("this machine: '/nowhere/m.csv'"));
    const TemporaryFolder folder;
    folder.write("a\\b.png", "x");
    CHECK(read_manifest(folder.write("m.csv", "path\na\\b.png\n")).rows[0].path ==
          (folder / "a\\b.png").string());
}

TEST_CASE("a missing file's neighbour with other capitals, blanks or accents is named") {
    const TemporaryFolder folder;
    folder.write("Images/R\xC3\xB6ntgen.png", "x");
    folder.write("m.csv ", "x");
    const auto hint = [&](const std::string& name) { return hint_for_missing(folder / name); };
    CHECK_THAT(hint("images/a.png"), Contains("there is 'Images': capital letters count"));
    CHECK_THAT(hint("Images/Ro\xCC\x88ntgen.png"),
               Contains("there is 'R\xC3\xB6ntgen.png': its accents") && Contains("convmv"));
    CHECK_THAT(hint("m.csv"), Contains("blanks at its start or end"));
    CHECK(hint("Images/a.png").empty());
    CHECK(hint("Images/R\xC3\xA4ntgen.png").empty());
    CHECK(hint("Images/R\xC3\xB6ntgen.png").empty());
    CHECK_THAT(message_of<DataError>([&] { open(folder / "images"); }),
               Contains("not found") && Contains("'Images'"));
    CHECK_THAT(message_of<DataError>([&] { open("~/films"); }), Contains("'~' is known to shells alone"));
}

TEST_CASE("what is not there is a data error") {
    CHECK_THAT(message_of<DataError>([] { open("/nowhere/m.csv"); }), Contains("/nowhere/m.csv: not found"));
    CHECK_THROWS_AS(read_manifest("/nowhere/m.csv"), DataError);
    CHECK_THROWS_AS(read_folder("/nowhere"), DataError);
    const TemporaryFolder folder;
    folder.write("notes.txt", "x");
    CHECK_THAT(message_of<DataError>([&] { open(folder.path()); }), Contains("no image found"));
}

TEST_CASE("a folder is every image below it, sorted") {
    const TemporaryFolder folder;
    for (const char* name : {"b/2.JPG", "b/1.png", "a.jpeg", "z.PNG", "notes.txt", "png"})
        folder.write(name, "x");
    const Manifest manifest = open(folder.path());
    REQUIRE(manifest.columns == Names{"path"});
    Names names;
    for (const Row& row : manifest.rows) names.push_back(row.cells[0]);
    CHECK(names == Names{"a.jpeg", "b/1.png", "b/2.JPG", "z.PNG"});
    CHECK(manifest.rows[1].path == (folder / "b/1.png").string());
}

TEST_CASE("a folder in which a table of images lies says so") {
    const TemporaryFolder folder;
    for (const char* name : {"images/a.png", "masks/a.png"}) folder.write(name, "x");
    folder.write("notes.csv", "a,b\n1,2\n");
    CHECK_THAT(open(folder.path()).skipped, Contains("1 of 3 files") && !Contains("lies in this folder"));
    folder.write("manifest.csv", "path,label\nimages/a.png,x\n");
    const Manifest manifest = open(folder.path());
    CHECK(manifest.rows.size() == 2);
    CHECK_THAT(manifest.skipped, Contains("; manifest.csv lies in this folder: name " +
                                          (folder / "manifest.csv").string() + " in its place"));
}

TEST_CASE("folders and files that links lead to count once, under their own name") {
    const TemporaryFolder folder, elsewhere;
    for (const char* name : {"d/1.png", "d/2.png"}) folder.write(name, "x");
    elsewhere.write("3.png", "x");
    std::filesystem::create_directory_symlink(".", folder / "d/loop");
    std::filesystem::create_directory_symlink("d", folder / "a-second-way");
    std::filesystem::create_directory_symlink(elsewhere.path(), folder / "outside");
    std::filesystem::create_directory_symlink(folder.path(), elsewhere / "back");
    std::filesystem::create_symlink("d/1.png", folder / "0.png");
    std::filesystem::create_symlink("nowhere.png", folder / "broken.png");
    std::filesystem::create_symlink("itself.png", folder / "itself.png");
    Names names;
    for (const Row& row : read_folder(folder.path()).rows) names.push_back(row.cells[0]);
    CHECK(names == Names{"d/1.png", "d/2.png", "outside/3.png"});
}

TEST_CASE("a file name that is no UTF-8 is refused by its bytes, in a folder and above a table") {
    const TemporaryFolder folder;
    folder.write("R\xF6ntgen.png", "x");
    CHECK_THAT(message_of<DataError>([&] { read_folder(folder.path()); }),
               Contains("R\\xF6ntgen.png: found a name whose bytes are no UTF-8") && Contains("convmv"));
    const auto table = folder.write("R\xF6/m.csv", "path\na.png\n");
    CHECK_THAT(message_of<DataError>([&] { read_manifest(table); }), Contains("R\\xF6: found a name"));
}

TEST_CASE("a folder also lists TIFF files, and DICOM files whose names have no extension") {
    const TemporaryFolder folder;
    std::string dicom(132, '\0');
    dicom.replace(128, 4, "DICM");
    for (const char* name : {"PAT1/IM000001", "PAT1/1.2.840.113619.2.5", "DICOMDIR", ".hidden"})
        folder.write(name, dicom);
    for (const char* name : {"a.tif", "b.TIFF", "LICENSE", "short"}) folder.write(name, "x");
    const Manifest manifest = open(folder.path());
    Names names;
    for (const Row& row : manifest.rows) names.push_back(row.cells[0]);
    CHECK(names == Names{"PAT1/1.2.840.113619.2.5", "PAT1/IM000001", "a.tif", "b.TIFF"});
    CHECK(manifest.skipped == "3 of 7 files are no images by their names and are not read (no extension: 3)");
}

TEST_CASE("class names are the distinct labels in sorted order, without the unlabelled") {
    const Manifest manifest = read("path,label\na,z\nb,m\nc,\nd,z\n");
    CHECK(class_names(manifest, "label") == Names{"m", "z"});
    CHECK_THAT(message_of<RecipeError>([&] { class_names(manifest, "lable"); }), Contains("mean 'label'"));
}
